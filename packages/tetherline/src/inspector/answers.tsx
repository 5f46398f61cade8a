import type { ReactNode } from 'react';

import type { ClientRecord } from './client-record.js';
import { size } from './words.js';

/** Answers that grow, and the last that did. */
export function Answers({ record }: { record: ClientRecord }): ReactNode {
  const answers = record.client.getStreams();
  return (
    <section className="card">
      <h2>
        Answers <span className="count">{answers.length}</span>
      </h2>
      {answers.length === 0 ? (
        <p className="empty">No answer has grown here.</p>
      ) : (
        <ul className="rows">
          {answers.map(({ uuid, attempt, text, status }) => (
            <li key={uuid}>
              <code>{uuid}</code>
              <span>{`attempt ${attempt}, ${size(text.length)}, ${status ?? 'growing'}`}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
