import type { ReactNode } from 'react';

import type { ClientRecord } from './client-record.js';
import { size } from './words.js';

/** Streams, and the last that have ended. */
export function Answers({ record }: { record: ClientRecord }): ReactNode {
  const answers = record.client.getStreams();
  return (
    <section className="card">
      <h2>
        Answers <span className="count">{answers.length}</span>
      </h2>
      {answers.length === 0 ? (
        <p className="empty">No stream has come here.</p>
      ) : (
        <ul className="rows">
          {answers.map(({ uuid, attempt, text, status }) => (
            <li key={uuid}>
              <code>{uuid}</code>
              <span>{`attempt ${attempt}, ${size(text.length)}, ${status ?? 'streaming'}`}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
