import { CLOSE_NORMAL, CLOSE_TOKEN_EXPIRED } from '../generated/protocol.js';
import type { ClientRecord } from './client-record.js';

/** What a browser makes of a connection that broke. */
const CLOSE_ABNORMAL = 1006;

/** Breaks the connection, and every later one, until {@link restore}. */
export function cut(record: ClientRecord): void {
  record.isCut = true;
  record.moment('The network is cut, by this panel.', 'bad');
  breakOff(record);
}

export function restore(record: ClientRecord): void {
  record.isCut = false;
  record.moment('The network is back, by this panel.', 'good');
  record.client.reconnect();
}

/** Closes as a server does that has seen the token expire. */
export function expireToken(record: ClientRecord): void {
  record.moment('The token has expired, says this panel.', 'warn');
  breakOff(record, CLOSE_TOKEN_EXPIRED);
}

/** Asks for what waits in the mailbox. */
export function replay(record: ClientRecord): void {
  record.client.requestPending();
}

/** Whether this tab has a connection of its own to break. */
export function hasConnection({ session }: ClientRecord): boolean {
  return session?.link !== null && session?.link !== undefined && !('leader' in session.link);
}

export function breakOff(record: ClientRecord, code = CLOSE_ABNORMAL): void {
  const { session, loop } = record;
  const link = session?.link;
  if (session?.isLive && link && hasConnection(record)) {
    link.detach(CLOSE_NORMAL);
    session.link = null;
    loop?.call((engine, now) => engine.closed(link.conn, code, 0, now));
  }
}
