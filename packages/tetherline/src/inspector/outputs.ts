import * as Outcome from '../generated/engine/outcome.js';
import * as Output from '../generated/engine/output.js';
import type { Session } from '../core/session.js';
import { ACK, AUTHENTICATE, GET_PENDING, PING } from '../generated/protocol.js';
import type { ClientRecord } from './client-record.js';

/** What the engine wants done becomes a frame, something that happened, or both. */
export function recordOutput(
  record: ClientRecord,
  session: Session,
  output: number,
  a: number,
  b: number,
): void {
  const isShared = session.link !== null && 'leader' in session.link;
  const sent = (frame: object) => void record.frame('out', JSON.stringify(frame), isShared);
  switch (output) {
    case Output.RESOLVE_TOKEN:
      return record.moment(a === 1 ? 'Asks for a fresh token.' : 'Asks for a token.');
    case Output.OPEN:
      record.ends('ping', null);
      return record.moment(`Opens connection ${a}.`);
    case Output.PROBE:
      return record.moment('Asks over HTTP why the connection did not open.', 'warn');
    case Output.DETACH:
      return record.moment(`Gives up connection ${a} (${b}).`, 'warn');
    case Output.PING:
      record.starts('ping');
      return sent({ type: PING });
    case Output.GET_PENDING:
      return sent({ type: GET_PENDING, after: a });
    case Output.ACK:
      record.acknowledged = a;
      return sent({ type: ACK, seq: a });
    case Output.AUTHENTICATE:
      // What is shown here may end up in a screenshot.
      return sent({ type: AUTHENTICATE, token: '(not shown)' });
    case Output.TRANSMIT:
      return recordSend(record, session, a);
    case Output.SETTLED:
      return record.ends(sendOf(a), b === Outcome.ACCEPTED ? 'send' : null);
    default:
      return recordNews(record, output, a, b);
  }
}

function recordNews(record: ClientRecord, output: number, a: number, b: number): void {
  switch (output) {
    case Output.GAP:
      return record.moment(`Messages between ${a} and ${b} will never come.`, 'warn');
    case Output.HANDLER_TIMED_OUT:
      return record.moment(`A handler of message ${a} has not settled in time.`, 'bad');
    case Output.IDENTITY_REFUSED:
      return record.moment('The server takes no token of this user.', 'bad');
    case Output.LOCK:
      return record.moment('Asks to lead the tabs.');
    case Output.JOIN:
      return record.moment('Shares the connection of the tab that leads.', 'good');
    case Output.SIGNED_OUT_ELSEWHERE:
      return record.moment('Signed out in another tab.', 'warn');
    default:
      return;
  }
}

function recordSend(record: ClientRecord, { outbox, link }: Session, number: number): void {
  const own = outbox.get(number)?.text;
  const text = own ?? link?.passedOn?.get(number)?.text;
  if (text !== undefined) {
    record.starts(sendOf(number));
    record.frame('out', text, own === undefined);
  }
}

function sendOf(number: number): string {
  return `send ${number}`;
}
