import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { Browser, Page } from '@playwright/test';

import { openUnobserved } from './chromium.js';
import { ANSWERS } from './pages/answers.js';
import type { BurstReport } from './pages/burst-page.js';
import type { ReducerName } from './pages/burst-store.js';
import { COMPONENTS, CONTESTANTS } from './pages/contestants.js';
import type { DispatchFigure, DispatchSize } from './pages/dispatch.js';
import { median, quantile } from './pages/statistics.js';
import type { StreamFigure, StreamPage } from './pages/stream-page.js';
import { chatFrame } from './pages/texts.js';
import type { BenchServer } from './server.js';

const MESSAGES_PER_SECOND = 10_000;
const BURST_SECONDS = 5;
const UNCONCERNED_MESSAGES = 1_000;
/** Of an answer, between two frames: some 1,200 a second. */
const UNITS_PER_FRAME = 20;
const STREAM_RUNS = 5;
/** What the compiler makes of either side differs from process to process. */
const DISPATCH_RUNS = 9;

/** What a message costs from the frame to its handlers, by what plain JavaScript takes. */
export async function dispatch(browser: Browser, server: BenchServer, isBrief: boolean) {
  const runs: DispatchFigure[][] = [];
  while (runs.length < dispatchRuns(isBrief)) {
    // A page of a context of its own has a process of its own.
    const page = await open(browser, server, 'dispatch');
    runs.push(await page.evaluate((size) => offered.measure(size), dispatchSize(isBrief)));
    await page.close();
  }
  printDispatch('Dispatch in Chromium', runs);
}

/** The same in Node. */
export function dispatchInNode(isBrief: boolean) {
  const script = fileURLToPath(new URL('pages/dispatch.js', import.meta.url));
  const size = JSON.stringify(dispatchSize(isBrief));
  const code = `await import(${JSON.stringify(script)});
    console.log(JSON.stringify(await offered.measure(${size}))); process.exit()`;
  const flags = ['--expose-gc', '--min-semi-space-size=64', '--input-type=module', '--eval', code];
  const runs = Array.from({ length: dispatchRuns(isBrief) }, () => {
    const output = execFileSync(process.execPath, flags, { encoding: 'utf8' });
    return JSON.parse(output) as DispatchFigure[];
  });
  printDispatch('Dispatch in Node', runs);
}

/** Components render as often as messages concern them: here, never. */
export async function renders(browser: Browser, server: BenchServer, isBrief: boolean) {
  const page = await open(browser, server, 'renders');
  const messages = isBrief ? 100 : UNCONCERNED_MESSAGES;
  console.log(`Renders: ${COMPONENTS} components, ${messages} messages that concern none`);
  for (const [contestant, name] of entries(CONTESTANTS)) {
    const url = `ws://127.0.0.1:${server.port}${contestant === 'tetherline' ? '' : `/${contestant}`}`;
    await page.evaluate(([who, where]) => offered.mount(who, where), [contestant, url] as const);
    await server.publish(messages, 1_000, (seq) => chatFrame(seq, 'ascii', 'message_other'));
    const { renders, looks } = await page.evaluate(
      ([who, count]) => offered.rendersAfter(who, count),
      [contestant, messages] as const,
    );
    server.hangUp();
    console.log(`  ${name.padEnd(40)} ${renders} renders, ${looks} callbacks`);
    if (contestant === 'tetherline') {
      assert(renders === 0 && looks === 0, 'A component was bothered by what is not its own.');
    }
  }
  await page.close();
  console.log();
}

/** A list in Redux that takes a burst: counted exactly, and the page stays at hand. */
export async function burst(server: BenchServer, isBrief: boolean) {
  for (const [reducer, name] of entries(REDUCERS)) {
    await burstInto(reducer, name, server, isBrief);
  }
}

const REDUCERS: Record<ReducerName, string> = {
  plain: 'a plain reducer',
  immer: 'a reducer with Immer',
  'one-draft': 'one with Immer that keeps every message, in one draft',
};

async function burstInto(
  reducer: ReducerName,
  name: string,
  server: BenchServer,
  isBrief: boolean,
) {
  const seconds = isBrief ? 1 : BURST_SECONDS;
  const messages = seconds * MESSAGES_PER_SECOND;
  const published = server
    .posted('publish')
    .then(() => server.publish(messages, MESSAGES_PER_SECOND, (seq) => chatFrame(seq, 'ascii')));
  const url = `http://127.0.0.1:${server.port}/burst?${reducer}&${messages}&${seconds * 1_000}`;
  const report = JSON.parse(await openUnobserved(url, server.posted('report'))) as BurstReport;
  if ('error' in report) {
    throw new Error(report.error);
  }
  const { idle, busy } = report;
  const { tookMs } = await published;
  console.log(`Burst: ${messages} messages in ${(tookMs / 1_000).toFixed(2)} s, into ${name}`);
  console.log(`  handled ${busy.handled}, out of order or missing ${busy.misplaced}`);
  for (const [when, figure] of entries({ idle, busy })) {
    console.log(
      `  ${when}: ${figure.longTasks} tasks over 50 ms, blocked for ${figure.blockedMsMax.toFixed(1)} ms ` +
        `at most; ${figure.frames} frames, median ${figure.frameMsMedian.toFixed(1)} ms, ` +
        `p99 ${figure.frameMsP99.toFixed(1)} ms`,
    );
  }
  console.log();
  assert(busy.handled === messages && busy.misplaced === 0, 'Not every message was handled once.');
}

/** Streams of 20,000 UTF-16 units in the chat's Markdown: what a frame has to do. */
export async function stream(browser: Browser, server: BenchServer, isBrief: boolean) {
  const unitsPerFrame = isBrief ? 20 * UNITS_PER_FRAME : UNITS_PER_FRAME;
  const runs = isBrief ? 1 : STREAM_RUNS;
  console.log(`Streams: ${unitsPerFrame} units per frame, ${runs} runs`);
  for (const [kind] of entries(ANSWERS)) {
    await streamOne(browser, server, runs, [kind, unitsPerFrame, 'by the block']);
  }
  await streamOne(browser, server, runs, ['mixed', 20 * UNITS_PER_FRAME, 'as a whole']);
  console.log();
}

async function streamOne(
  browser: Browser,
  server: BenchServer,
  runs: number,
  args: Parameters<StreamPage['write']>,
) {
  const figures: StreamFigure[] = [];
  for (let run = 0; run < runs; run += 1) {
    // On a page of its own: what one answer has warmed up is not for the next.
    const page = await open(browser, server, 'stream');
    figures.push(await page.evaluate((all) => offered.write(...all), args));
    await page.close();
  }
  const [kind, , parsed] = args;
  const works = figures.map(({ workMs }) => workMs);
  console.log(`  ${kind}, parsed ${parsed}, ${works[0]?.length ?? 0} frames`);
  printFrames('render and commit', works);
  printFrames(
    'style and layout',
    figures.map(({ layoutMs }) => layoutMs),
  );
}

/** Every run does the same in the same frame: what it takes at its quickest nobody interrupted. */
function printFrames(what: string, runs: readonly (readonly number[])[]): void {
  const quickest = (runs[0] ?? []).map((_, frame) =>
    Math.min(...runs.map((run) => run[frame] ?? Infinity)),
  );
  const say = (values: readonly number[]) =>
    `median ${quantile(values, 0.5).toFixed(2)} ms, p99 ${quantile(values, 0.99).toFixed(2)} ms, ` +
    `longest ${Math.max(...values).toFixed(1)} ms`;
  console.log(`    ${what}: each frame at its quickest ${say(quickest)}; all ${say(runs.flat())}`);
}

async function open(browser: Browser, server: BenchServer, name: string): Promise<Page> {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(error));
  await page.goto(`http://127.0.0.1:${server.port}/${name}`);
  await page.waitForFunction(() => 'offered' in globalThis);
  return page;
}

function dispatchSize(isBrief: boolean): DispatchSize {
  return isBrief
    ? { warmUpSlices: 5, slices: 3, messagesPerSlice: 500 }
    : { warmUpSlices: 40, slices: 101, messagesPerSlice: 2_000 };
}

function dispatchRuns(isBrief: boolean): number {
  return isBrief ? 1 : DISPATCH_RUNS;
}

function printDispatch(title: string, runs: readonly DispatchFigure[][]): void {
  console.log(
    `${title}, by plain JavaScript's: the median of ${runs.length} runs, and their spread`,
  );
  for (const [index, { alphabet, handlers }] of (runs[0] ?? []).entries()) {
    const figures = runs.flatMap((run) => run[index] ?? []);
    const what = `${alphabet === 'ascii' ? 'ASCII' : 'not ASCII'}, ${handlers} handlers`;
    const ratios = figures.map(({ ratio }) => ratio);
    const plainNs = median(figures.map((figure) => figure.plainNs));
    const tetherlineNs = median(figures.map((figure) => figure.tetherlineNs));
    console.log(
      `  ${what.padEnd(24)} ${median(ratios).toFixed(2)}   ` +
        `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}   ` +
        `${tetherlineNs.toFixed(0)} and ${plainNs.toFixed(0)} ns per message`,
    );
  }
  console.log();
}

function assert(holds: boolean, otherwise: string): void {
  if (!holds) {
    throw new Error(otherwise);
  }
}

function entries<K extends string, V>(record: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(record) as [K, V][];
}
