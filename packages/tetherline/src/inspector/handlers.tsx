import type { ReactNode } from 'react';

import type { HandlerRecord } from './records.js';
import { duration } from './words.js';

export function HandlerTable({ handlers }: { handlers: readonly HandlerRecord[] }): ReactNode {
  if (handlers.length === 0) {
    return <p className="empty">No handler has been called yet.</p>;
  }
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Handlers">
      <table>
        <thead>
          <tr>
            <th scope="col">Message type</th>
            <th scope="col">Handler</th>
            <th scope="col">Calls</th>
            <th scope="col">Errors</th>
            <th scope="col">Time in all</th>
            <th scope="col">Longest</th>
            <th scope="col">Running</th>
          </tr>
        </thead>
        <tbody>
          {handlers.map((each) => (
            <tr key={`${each.type} ${each.name}`}>
              <th scope="row">
                <code>{each.type}</code>
              </th>
              <td>
                <code>{each.name}</code>
              </td>
              <td>{each.calls}</td>
              <td data-bad={each.errors > 0}>
                {each.errors}
                {each.lastError !== null && <small>{each.lastError}</small>}
              </td>
              <td>{duration(each.totalMs)}</td>
              <td>{duration(each.longestMs)}</td>
              <td>{each.pending}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
