/** The panel's own; nothing of it reaches the page. */
export const STYLES = `
:host {
  --ground: light-dark(#f7faf9, #101d20);
  --raised: light-dark(#ffffff, #172a2e);
  --ink: light-dark(#14272b, #e3edec);
  --soft: light-dark(#435a5f, #abbfc0);
  --line: light-dark(#d2dedb, #294045);
  --strong: light-dark(#869b9b, #5d7679);
  --accent: light-dark(#0d5c63, #74cbc5);
  --accent-soft: light-dark(#d8e9e6, #1a383b);
  --on-accent: light-dark(#ffffff, #06282b);
  --copper: light-dark(#a04a22, #f2aa85);
  --copper-soft: light-dark(#fbe9df, #3a261d);
  --bad: light-dark(#a32a1d, #ffa799);
  --bad-soft: light-dark(#fbe8e4, #3b1f1c);
  --good: light-dark(#23663a, #9fd6a8);
  --good-soft: light-dark(#e0f0e4, #17301f);
  --mono: ui-monospace, 'SF Mono', 'Cascadia Code', Menlo, 'Liberation Mono', monospace;
  display: block;
}
*, *::before, *::after { box-sizing: border-box; }
aside {
  position: fixed; inset: auto 0 0; z-index: 2147483000;
  font: 400 13px/1.45 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif;
  color: var(--ink); pointer-events: none; -webkit-text-size-adjust: 100%;
}
aside > * { pointer-events: auto; }
h2, p, ol, ul, dl, dd, figure { margin: 0; padding: 0; }
ol, ul { list-style: none; }
code, pre, time { font-family: var(--mono); font-size: 12px; }
h2 { font-size: 12px; font-weight: 650; color: var(--soft); display: flex; gap: 6px; align-items: center; }
button, select, input { font: inherit; color: inherit; }
button {
  min-height: 28px; padding: 2px 10px; border: 1px solid var(--line); border-radius: 7px;
  background: var(--raised); cursor: pointer; white-space: nowrap;
}
button:hover:not(:disabled) { border-color: var(--strong); }
button:disabled { color: var(--soft); cursor: default; border-style: dashed; background: transparent; }
button[aria-pressed='true'] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.empty { color: var(--soft); padding: 10px 0; }
.count { font-weight: 500; padding: 0 6px; border-radius: 9px; background: var(--accent-soft); color: var(--ink); }

.launcher {
  position: absolute; left: 12px; bottom: 12px; display: flex; gap: 7px; align-items: center;
  border-radius: 16px; box-shadow: 0 4px 14px rgb(9 40 44 / 0.18); font-size: 12px;
}
.launcher__dot, .brand__mark { width: 9px; height: 9px; border-radius: 50%; background: var(--accent); box-shadow: 0 0 0 3px var(--accent-soft); }

.panel {
  display: flex; flex-direction: column; height: min(25rem, 56vh); background: var(--ground);
  border-top: 1px solid var(--strong); box-shadow: 0 -14px 40px -14px rgb(6 28 32 / 0.35);
}
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; padding: 8px 12px; border-bottom: 1px solid var(--line); background: var(--raised); }
.brand { display: flex; align-items: center; gap: 9px; white-space: nowrap; }
.brand__mark { margin-left: 3px; }
.brand__name { font-weight: 650; }
.pill { padding: 1px 9px; border-radius: 10px; font-size: 12px; font-weight: 600; background: var(--copper-soft); color: var(--copper); }
.pill[data-status='connected'] { background: var(--good-soft); color: var(--good); }
.pill:is([data-status='refused'], [data-status='failed']) { background: var(--bad-soft); color: var(--bad); }
.pill[data-status='signed_out'] { background: var(--accent-soft); color: var(--ink); }
.failure { flex-basis: 100%; order: 1; margin: 0; color: var(--bad); }
.tabs { display: flex; gap: 2px; margin-right: auto; }
.tabs button { border-color: transparent; background: none; color: var(--soft); font-weight: 550; }
.tabs button[aria-selected='true'] { background: var(--accent-soft); color: var(--ink); }
.actions { display: flex; gap: 6px; }
.close { padding: 2px 6px; border-color: transparent; background: none; display: flex; align-items: center; }
.close path { stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; }
.view { flex: 1; min-height: 0; overflow: auto; padding: 12px; }

.overview { display: grid; grid-template-columns: minmax(0, 1fr) minmax(17rem, 22rem); gap: 12px 20px; min-height: 100%; height: 100%; }
.story { display: flex; flex-direction: column; gap: 10px; min-height: 0; }
.timeline figcaption { display: flex; justify-content: space-between; color: var(--soft); margin-bottom: 6px; }
.timeline__bar { position: relative; height: 22px; border-radius: 6px; background: var(--accent-soft); overflow: hidden; }
.timeline__bar li { position: absolute; top: 0; bottom: 0; }
.timeline__bar li + li { border-left: 1px solid var(--ground); }
[data-status] { --state: var(--strong); }
[data-status='connected'] { --state: light-dark(#2f8a57, #63b981); }
[data-status='connecting'] { --state: light-dark(#3b8f96, #4ba7ac); }
[data-status='waiting'] { --state: light-dark(#d0804f, #dd9168); }
[data-status='refused'], [data-status='failed'] { --state: light-dark(#b83a2c, #e07766); }
.timeline__bar li { background: var(--state); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin-top: 6px; font-size: 12px; color: var(--soft); }
.legend li::before { content: ''; display: inline-block; width: 8px; height: 8px; border-radius: 2px; margin-right: 6px; background: var(--state); }
.moments { flex: 1; min-height: 6rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
.moments li { display: flex; gap: 12px; padding: 4px 10px; border-left: 3px solid transparent; }
.moments li + li { border-top: 1px solid var(--line); }
.moments li[data-tone='good'] { border-left-color: var(--good); }
.moments li[data-tone='warn'] { border-left-color: var(--copper); }
.moments li[data-tone='bad'] { border-left-color: var(--bad); }
time { color: var(--soft); white-space: nowrap; font-variant-numeric: tabular-nums; }
.cards { display: flex; flex-direction: column; gap: 10px; }
.card { padding: 9px 12px; border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
.card dl div, .rows li { display: flex; justify-content: space-between; gap: 12px; padding: 2px 0; }
.card dt { color: var(--soft); }
.card dd, .rows code { font-family: var(--mono); font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rows span:last-child:not(:first-child) { color: var(--soft); white-space: nowrap; }
.card h2 { margin-bottom: 3px; }
.card .empty { padding: 2px 0; }
.badge { margin-left: 7px; padding: 0 7px; border-radius: 9px; font-size: 12px; font-weight: 600; background: var(--good-soft); color: var(--good); }

.frames { display: flex; flex-direction: column; gap: 9px; height: 100%; }
.filters { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.segments { display: flex; }
.segments button { border-radius: 0; margin-left: -1px; }
.segments button:first-child { border-radius: 7px 0 0 7px; margin-left: 0; }
.segments button:last-child { border-radius: 0 7px 7px 0; }
select, input { min-height: 28px; padding: 2px 9px; border: 1px solid var(--strong); border-radius: 7px; background: var(--raised); min-width: 0; }
input { flex: 1 1 9rem; max-width: 22rem; }
input::placeholder { color: var(--soft); opacity: 1; }
.filters__count { color: var(--soft); margin: 0 auto 0 4px; white-space: nowrap; }
.frames__body { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 1fr); gap: 12px; }
.frames__body[data-detail='true'] { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
.frames__list { overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
.frames__list li + li { border-top: 1px solid var(--line); }
.frame {
  display: grid; grid-template-columns: 3.6rem minmax(0, 1fr) auto 4.6rem auto; gap: 12px; align-items: center;
  width: 100%; border: 0; border-radius: 0; text-align: left; background: none; outline-offset: -2px;
}
.frame:hover { background: var(--accent-soft); }
.frame__way { font-weight: 600; font-size: 12px; color: var(--accent); }
.frame[data-direction='out'] .frame__way { color: var(--copper); }
.frame__type { font-family: var(--mono); font-size: 12px; overflow: hidden; text-overflow: ellipsis; }
.frame__seq, .frame__size { color: var(--soft); font-variant-numeric: tabular-nums; text-align: right; }
.frame[aria-pressed='true'] { background: var(--accent-soft); color: var(--ink); box-shadow: inset 3px 0 var(--accent); }
.detail { display: flex; flex-direction: column; gap: 6px; min-height: 0; padding: 9px 12px; border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
.detail header { display: flex; gap: 6px; align-items: center; }
.detail h2 { margin-right: auto; font-family: var(--mono); color: var(--ink); overflow: hidden; text-overflow: ellipsis; }
.detail p { color: var(--soft); }
.detail pre { flex: 1; min-height: 4rem; margin: 0; padding: 8px 10px; overflow: auto; border-radius: 6px; background: var(--ground); white-space: pre-wrap; overflow-wrap: anywhere; }

.latency { display: flex; flex-direction: column; gap: 10px; }
[data-kind='ping'] { --kind: var(--accent); }
[data-kind='send'] { --kind: var(--copper); }
.stats { display: flex; flex-wrap: wrap; gap: 10px; }
.stat { flex: 1 1 13rem; padding: 8px 12px; border: 1px solid var(--line); border-left: 3px solid var(--kind); border-radius: 8px; background: var(--raised); }
.stat dt, .stat dd { color: var(--soft); }
.stat .stat__last { font-size: 20px; font-weight: 600; line-height: 1.3; color: var(--ink); }
.latency figure { position: relative; height: 11rem; padding: 0; border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
.latency svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.latency .grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.latency polyline { fill: none; stroke: var(--kind); stroke-width: 1.5; vector-effect: non-scaling-stroke; opacity: 0.7; }
.latency i { position: absolute; width: 7px; height: 7px; margin: -3.5px; border-radius: 50%; background: var(--kind); }
.axis { position: absolute; left: 6px; padding: 0 3px; font-size: 12px; color: var(--soft); background: var(--raised); }
.axis--top { top: -1px; }
.axis--bottom { bottom: 0; }
.note { color: var(--soft); }

.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 6px 12px; text-align: right; font-weight: 400; font-variant-numeric: tabular-nums; white-space: nowrap; vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--raised); color: var(--soft); font-weight: 600; font-size: 12px; }
th:first-child, td:nth-child(2), thead th:nth-child(2) { text-align: left; }
tbody tr { border-top: 1px solid var(--line); }
td[data-bad='true'] { color: var(--bad); font-weight: 600; }
td small { display: block; max-width: 20rem; margin-left: auto; font-weight: 400; white-space: normal; }

@media (max-width: 900px) {
  .bar { flex-wrap: wrap; }
  .brand { flex: 1; }
  .close { order: -1; }
  .brand { order: -2; }
  .tabs { order: 1; }
}
@media (max-width: 640px) {
  .panel { height: min(40rem, 82vh); }
  button, select, input { min-height: 34px; }
  .tabs { flex: 1 0 100%; }
  .tabs button { flex: 1; padding-inline: 6px; }
  .actions { order: 2; flex: 1; flex-wrap: wrap; }
  .actions button { flex: 1; padding-inline: 6px; }
  .overview { display: flex; flex-direction: column; height: auto; }
  .moments { max-height: 15rem; flex: none; }
  .frames__body[data-detail='true'] { grid-template-columns: minmax(0, 1fr); }
  .frames__body[data-detail='true'] .frames__list { display: none; }
  .frame { grid-template-columns: 3rem minmax(0, 1fr) auto auto; gap: 8px; }
  .frame__size { display: none; }
  input { max-width: none; flex-basis: 100%; }
  th, td { padding: 6px 8px; }
  td small { min-width: 6rem; }
}
`;
