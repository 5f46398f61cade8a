import { RETRY_AFTER_IN_REASON } from '../../generated/protocol.js';
import type { Call } from '../engine/loop.js';
import type { Reporter } from '../page/report.js';
import type { Session } from '../session.js';
import type { WebSocketConstructor } from '../types.js';
import { Socket } from './socket.js';

/** Opens a socket, as the engine wants it; what comes of it goes to `received` and to the engine. */
export function openSocket(
  session: Session,
  conn: number,
  Given: WebSocketConstructor | undefined,
  report: Reporter,
  { received, call }: { received: (data: unknown) => void; call: (into: Call) => void },
): void {
  const events = {
    opened: () => {
      report.debug('WebSocket connected successfully');
      call((engine, now) => engine.opened(conn, now));
    },
    message: received,
    closed: (code: number, reason?: string) => {
      session.link = null;
      report.debug('WebSocket disconnected');
      const told = /^\d+$/.exec(reason?.split(RETRY_AFTER_IN_REASON)[1] ?? '');
      call((engine, now) => engine.closed(conn, code, Number(told), now));
    },
  };
  try {
    session.link = new Socket(Given ?? WebSocket, conn, session.url, session.token, events);
  } catch (error) {
    report.problem('A WebSocket could not be created.', error);
    call((engine, now) => engine.closed(conn, 1006, 0, now));
  }
}
