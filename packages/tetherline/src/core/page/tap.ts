import type { Loop } from '../engine/loop.js';
import type { TetherlineError } from '../errors.js';
import type { Session } from '../session.js';
import type { Client, Handler, Message, MessageMeta } from '../types.js';

/** What the inspector hears of all clients of a page. */
export interface Tap {
  /** The engine wants something done; the number is one of output.ts. */
  output(
    client: Client,
    session: Session,
    loop: Loop | undefined,
    output: number,
    a: number,
    b: number,
  ): void;
  /** A frame has come, by this session's connection or from the tab that leads. */
  received(session: Session, data: unknown): void;
  /** A send has rejected, on its way or before it. */
  notSent(client: Client, message: unknown, error: TetherlineError): void;
  /** Calls a handler, and passes on what it returns or throws. */
  call(handler: Handler, message: Message, meta: MessageMeta): unknown;
}

/** Empty unless `tetherline/inspector` is part of the page, which it is in development only. */
export const inspector: { tap?: Tap | undefined } = {};
