import type { ReactNode } from 'react';

import { LATENCIES_MAX, type LatencyRecord } from './records.js';
import { duration } from './words.js';

const WIDTH = 720;
const HEIGHT = 180;
const KINDS = [
  ['ping', 'Ping to pong'],
  ['send', 'Send to accepted'],
] as const;

export function LatencyPlot({ latencies }: { latencies: readonly LatencyRecord[] }): ReactNode {
  if (latencies.length === 0) {
    return (
      <p className="empty">
        Nothing was measured yet: the client pings every half minute, and sends when you do.
      </p>
    );
  }
  const top = niceTop(Math.max(...latencies.map(({ ms }) => ms)));
  return (
    <div className="latency">
      <div className="stats">
        {KINDS.map(([kind, name]) => (
          <Stat key={kind} kind={kind} name={name} values={valuesOf(latencies, kind)} />
        ))}
      </div>
      <figure>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          role="img"
          aria-label={`${latencies.length} measurements, the slowest under ${duration(top)}`}
          preserveAspectRatio="none"
        >
          {[0, 0.5, 1].map((part) => (
            <line key={part} className="grid" x1={0} x2={WIDTH} y1={yOf(part)} y2={yOf(part)} />
          ))}
          {KINDS.map(([kind]) => (
            <polyline
              key={kind}
              data-kind={kind}
              points={latencies
                .map((each, index) => [each, index] as const)
                .filter(([each]) => each.kind === kind)
                .map(([{ ms }, index]) => `${xOf(index, latencies.length)},${yOf(ms / top)}`)
                .join(' ')}
            />
          ))}
        </svg>
        <span className="axis axis--top">{duration(top)}</span>
        <span className="axis axis--bottom">0</span>
        {latencies.map(({ at, ms, kind }, index) => (
          <i
            key={`${at}-${index}`}
            data-kind={kind}
            title={duration(ms)}
            style={{
              left: `${(xOf(index, latencies.length) / WIDTH) * 100}%`,
              top: `${(yOf(ms / top) / HEIGHT) * 100}%`,
            }}
          />
        ))}
      </figure>
      <p className="note">{`The newest ${LATENCIES_MAX} at most, the latest on the right.`}</p>
    </div>
  );
}

function Stat(props: { kind: string; name: string; values: readonly number[] }): ReactNode {
  const { kind, name, values } = props;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)];
  const shown = (ms: number | undefined) => (ms === undefined ? '–' : duration(ms));
  return (
    <dl className="stat" data-kind={kind}>
      <dt>{name}</dt>
      <dd className="stat__last">{shown(values.at(-1))}</dd>
      <dd>{`median ${shown(at(0.5))} · 95 % under ${shown(at(0.95))} · ${values.length}×`}</dd>
    </dl>
  );
}

function valuesOf(latencies: readonly LatencyRecord[], kind: LatencyRecord['kind']): number[] {
  return latencies.filter((each) => each.kind === kind).map(({ ms }) => ms);
}

function xOf(index: number, count: number): number {
  return count === 1 ? WIDTH / 2 : 12 + (index / (count - 1)) * (WIDTH - 24);
}

function yOf(part: number): number {
  return HEIGHT - 8 - part * (HEIGHT - 16);
}

/** 1, 2 or 5 times a power of ten, at least `ms`. */
function niceTop(ms: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(ms, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= ms) ?? power * 10;
}
