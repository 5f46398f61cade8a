import { type ReactNode, useState } from 'react';

import { type Direction, FRAME_TEXT_MAX, type FrameRecord, type Ring } from './records.js';
import { clock, size } from './words.js';

const DIRECTIONS = [
  ['all', 'Both ways'],
  ['in', 'In'],
  ['out', 'Out'],
] as const;

interface Filter {
  direction: Direction | 'all';
  type: string;
  text: string;
}

export function Frames({ ring }: { ring: Ring<FrameRecord> }): ReactNode {
  const [filter, setFilter] = useState<Filter>({ direction: 'all', type: '', text: '' });
  const [chosen, setChosen] = useState<FrameRecord | null>(null);
  const [paused, setPaused] = useState<readonly FrameRecord[] | null>(null);
  const frames = paused ?? ring.items;
  const shown = frames.filter((frame) => fits(frame, filter)).reverse();

  return (
    <div className="frames">
      <div className="filters" role="group" aria-label="Which frames">
        <div className="segments">
          {DIRECTIONS.map(([direction, word]) => (
            <button
              key={direction}
              type="button"
              aria-pressed={filter.direction === direction}
              onClick={() => setFilter({ ...filter, direction })}
            >
              {word}
            </button>
          ))}
        </div>
        <select
          aria-label="Type"
          value={filter.type}
          onChange={({ target }) => setFilter({ ...filter, type: target.value })}
        >
          <option value="">All types</option>
          {[...new Set(frames.map(({ type }) => type))].sort().map((type) => (
            <option key={type}>{type}</option>
          ))}
        </select>
        <input
          type="search"
          aria-label="Text in the frame"
          placeholder="Text in the frame"
          value={filter.text}
          onChange={({ target }) => setFilter({ ...filter, text: target.value })}
        />
        <span className="filters__count">{`${shown.length} of ${frames.length}`}</span>
        <button
          type="button"
          aria-pressed={paused !== null}
          onClick={() => setPaused(paused ? null : ring.items)}
        >
          Pause
        </button>
        <button
          type="button"
          onClick={() => {
            ring.clear();
            setPaused(null);
            setChosen(null);
          }}
        >
          Clear
        </button>
      </div>
      <div className="frames__body" data-detail={chosen !== null}>
        {shown.length === 0 ? (
          <p className="empty">
            {frames.length === 0 ? 'No frame yet.' : 'No frame fits these filters.'}
          </p>
        ) : (
          <ol className="frames__list" aria-label="Frames, the newest first">
            {shown.map((frame) => (
              <li key={frame.number}>
                <FrameRow frame={frame} isChosen={frame === chosen} onChoose={setChosen} />
              </li>
            ))}
          </ol>
        )}
        {chosen && <Detail frame={chosen} onClose={() => setChosen(null)} />}
      </div>
    </div>
  );
}

function fits(frame: FrameRecord, { direction, type, text }: Filter): boolean {
  return (
    (direction === 'all' || frame.direction === direction) &&
    (type === '' || frame.type === type) &&
    frame.text.toLowerCase().includes(text.toLowerCase())
  );
}

interface RowProps {
  frame: FrameRecord;
  isChosen: boolean;
  onChoose: (frame: FrameRecord) => void;
}

function FrameRow({ frame, isChosen, onChoose }: RowProps): ReactNode {
  return (
    <button
      type="button"
      className="frame"
      aria-pressed={isChosen}
      data-direction={frame.direction}
      onClick={() => onChoose(frame)}
    >
      <span className="frame__way">{frame.direction === 'in' ? '↓ in' : '↑ out'}</span>
      <span className="frame__type">
        {frame.count > 1 ? `${frame.type} × ${frame.count}` : frame.type}
      </span>
      <span className="frame__seq">{frame.seq === undefined ? '' : `#${frame.seq}`}</span>
      <span className="frame__size">{size(frame.size)}</span>
      <time>{clock(frame.at)}</time>
    </button>
  );
}

function Detail({ frame, onClose }: { frame: FrameRecord; onClose: () => void }): ReactNode {
  return (
    <section className="detail" aria-label="The chosen frame">
      <header>
        <h2>{frame.type}</h2>
        <button type="button" onClick={() => void navigator.clipboard.writeText(frame.text)}>
          Copy
        </button>
        <button type="button" onClick={onClose}>
          Back
        </button>
      </header>
      <p>
        {`${frame.direction === 'in' ? 'Received' : 'Sent'} at ${clock(frame.at)}, ${size(frame.size)}`}
        {frame.isShared && ', by way of another tab'}
        {frame.size > FRAME_TEXT_MAX && ` (the first ${size(FRAME_TEXT_MAX)} are kept)`}
      </p>
      <pre tabIndex={0}>{pretty(frame.text)}</pre>
    </section>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
