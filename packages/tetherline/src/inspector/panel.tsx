import {
  type KeyboardEvent,
  type ReactNode,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';

import type { ClientRecord } from './client-record.js';
import { cut, expireToken, hasConnection, replay, restore } from './faults.js';
import { Frames } from './frames.js';
import { HandlerTable } from './handlers.js';
import { LatencyPlot } from './latency.js';
import { Overview } from './overview.js';
import { recorder } from './recorder.js';
import { STATUS_WORDS } from './words.js';

const VIEWS = ['Overview', 'Frames', 'Latency', 'Handlers'] as const;
type View = (typeof VIEWS)[number];

interface Props {
  record: ClientRecord;
  onClose: () => void;
}

export function Panel({ record, onClose }: Props): ReactNode {
  useSyncExternalStore(recorder.subscribe, recorder.getVersion, recorder.getVersion);
  const [view, setView] = useState<View>('Overview');
  const panel = useRef<HTMLElement>(null);
  useEffect(() => panel.current?.querySelector<HTMLElement>('[aria-selected=true]')?.focus(), []);
  const { status, error } = record.client.getSnapshot();

  return (
    <section
      ref={panel}
      className="panel"
      aria-label="What the connection does"
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          onClose();
        }
      }}
    >
      <header className="bar">
        <p className="brand">
          <span className="brand__mark" aria-hidden="true" />
          <span className="brand__name">Tetherline</span>
          <span className="pill" data-status={status}>
            {STATUS_WORDS[status]}
          </span>
        </p>
        {error && <p className="failure">{error.message}</p>}
        <ViewTabs view={view} onView={setView} />
        <Actions record={record} />
        <button type="button" className="close" aria-label="Close the inspector" onClick={onClose}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="M3.5 3.5l9 9m0-9l-9 9" />
          </svg>
        </button>
      </header>
      <div className="view" role="tabpanel" id="view" aria-labelledby={`tab-${view}`}>
        {view === 'Overview' && <Overview record={record} />}
        {view === 'Frames' && <Frames ring={record.frames} />}
        {view === 'Latency' && <LatencyPlot latencies={record.latencies.items} />}
        {view === 'Handlers' && <HandlerTable handlers={[...record.handlers.values()]} />}
      </div>
    </section>
  );
}

function ViewTabs({ view, onView }: { view: View; onView: (view: View) => void }): ReactNode {
  const moved = (event: KeyboardEvent<HTMLElement>) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = step && VIEWS[(VIEWS.indexOf(view) + step + VIEWS.length) % VIEWS.length];
    if (next) {
      event.preventDefault();
      onView(next);
      const tabs = event.currentTarget.children;
      (tabs[VIEWS.indexOf(next)] as HTMLElement | undefined)?.focus();
    }
  };
  return (
    <div className="tabs" role="tablist" aria-label="Views" onKeyDown={moved}>
      {VIEWS.map((each) => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`tab-${each}`}
          aria-selected={each === view}
          aria-controls="view"
          tabIndex={each === view ? 0 : -1}
          onClick={() => onView(each)}
        >
          {each}
        </button>
      ))}
    </div>
  );
}

function Actions({ record }: { record: ClientRecord }): ReactNode {
  const isOn = record.client.getSnapshot().status !== 'signed_out';
  const isOwn = hasConnection(record);
  return (
    <div className="actions" role="group" aria-label="Try what happens">
      <button
        type="button"
        aria-pressed={record.isCut}
        disabled={!isOn}
        onClick={() => (record.isCut ? restore : cut)(record)}
      >
        {record.isCut ? 'Restore network' : 'Cut network'}
      </button>
      <button
        type="button"
        disabled={!isOwn}
        title={isOwn ? undefined : 'This tab has no connection of its own now.'}
        onClick={() => expireToken(record)}
      >
        Expire token
      </button>
      <button type="button" disabled={!isOn} onClick={() => replay(record)}>
        Ask for pending
      </button>
    </div>
  );
}
