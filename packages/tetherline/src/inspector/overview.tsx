import { type ReactNode, useEffect, useState } from 'react';

import { Answers } from './answers.js';
import type { ClientRecord } from './client-record.js';
import type { Moment, StateRecord, TabRecord } from './records.js';
import { clock, duration, size, STATUS_WORDS } from './words.js';

/** How often what depends on the time is drawn again, in ms. */
const TICK_MS = 1_000;

/** The timeline never shows less than this, in ms. */
const SHORTEST_SPAN_MS = 10_000;

export function Overview({ record }: { record: ClientRecord }): ReactNode {
  const now = useNow();
  return (
    <div className="overview">
      <div className="story">
        <Timeline states={record.states.items} now={now} />
        <Moments moments={record.moments.items} />
      </div>
      <div className="cards">
        <Positions record={record} />
        <Outbox record={record} />
        <Answers record={record} />
        <TabList tabs={record.tabs.list} now={now} />
      </div>
    </div>
  );
}

function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function Timeline({ states, now }: { states: readonly StateRecord[]; now: number }): ReactNode {
  const from = Math.min(states[0]?.at ?? now, now - SHORTEST_SPAN_MS);
  const spans = states.map(({ at, status }, index) => {
    const until = Math.max(states[index + 1]?.at ?? now, at);
    return {
      at,
      status,
      until,
      left: share(at, from, now),
      width: share(until - at, 0, now - from),
    };
  });
  return (
    <figure className="timeline">
      <figcaption>
        <h2>State</h2>
        <span>{`the last ${duration(now - from)}`}</span>
      </figcaption>
      <ol className="timeline__bar">
        {spans.map(({ at, status, until, left, width }, index) => (
          <li
            key={`${at} ${index}`}
            data-status={status}
            style={{ left: `${left}%`, width: `max(3px, ${width}%)` }}
            title={`${STATUS_WORDS[status]} for ${duration(until - at)}, from ${clock(at)}`}
          >
            <span className="hidden">
              {`${STATUS_WORDS[status]} for ${duration(until - at)}, from ${clock(at)}`}
            </span>
          </li>
        ))}
      </ol>
      <ul className="legend" aria-hidden="true">
        {[...new Set(spans.map(({ status }) => status))].map((status) => (
          <li key={status} data-status={status}>
            {STATUS_WORDS[status]}
          </li>
        ))}
      </ul>
    </figure>
  );
}

function share(value: number, from: number, until: number): number {
  return Math.min(Math.max(((value - from) / (until - from)) * 100, 0), 100);
}

function Moments({ moments }: { moments: readonly Moment[] }): ReactNode {
  if (moments.length === 0) {
    return <p className="empty">Nothing has happened yet. Sign in, and it will.</p>;
  }
  return (
    <ol className="moments" tabIndex={0} aria-label="What happened, the newest first">
      {[...moments].reverse().map(({ number, at, text, tone }) => (
        <li key={number} data-tone={tone}>
          <time>{clock(at)}</time>
          <span>{text}</span>
        </li>
      ))}
    </ol>
  );
}

function Positions({ record }: { record: ClientRecord }): ReactNode {
  const { established, session, loop, acknowledged } = record;
  const position = session?.isLive ? loop?.engine.position() : undefined;
  const facts: [string, string | number | undefined][] = [
    ['User', session?.isLive ? session.user : undefined],
    ['Position', position !== undefined && position >= 0 ? position : undefined],
    ['Acknowledged', acknowledged || undefined],
    ['Cursor at connect', text(established?.cursor)],
    ['Head at connect', text(established?.head)],
    ['Epoch', text(established?.epoch)],
  ];
  return (
    <section className="card">
      <h2>Positions</h2>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value ?? '–'}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function Outbox({ record }: { record: ClientRecord }): ReactNode {
  const sends = record.session?.isLive ? [...record.session.outbox.byNumber.values()] : [];
  return (
    <section className="card">
      <h2>
        Outbox <span className="count">{sends.length}</span>
      </h2>
      {sends.length === 0 ? (
        <p className="empty">Every send has settled.</p>
      ) : (
        <ul className="rows">
          {sends.slice(0, 20).map(({ id, text, refusal }) => (
            <li key={id}>
              <code>{id}</code>
              <span>{refusal ? refusal.code : size(text.length)}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function TabList({ tabs, now }: { tabs: readonly TabRecord[]; now: number }): ReactNode {
  return (
    <section className="card">
      <h2>
        Tabs <span className="count">{Math.max(tabs.length, 1)}</span>
      </h2>
      {tabs.length === 0 ? (
        <p className="empty">This tab has a connection of its own.</p>
      ) : (
        <ul className="rows">
          {tabs.map(({ id, isThis, isLeader, heardAt }) => (
            <li key={id}>
              <span>
                {isThis ? 'This tab' : `Tab ${id.toString(36)}`}
                {isLeader && <strong className="badge">leads</strong>}
              </span>
              {!isThis && <span>{`heard ${duration(Math.max(now - heardAt, 0))} ago`}</span>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
