import { ERROR } from '../generated/protocol.js';
import type { Message } from '../index.js';

/** How a send is refused. */
export interface Refusal {
  code: string;
  message?: string;
  /** Whether the client is to try again. Default: no. */
  retryable?: boolean;
  retryAfterMs?: number;
}

/** What the server answers to a send that is refused. */
export function refusalOf(frame: Message, refusal: Refusal): Message {
  const { code, message = `The test refuses this: ${code}.`, retryable = false } = refusal;
  return {
    type: ERROR,
    ref: String(frame.id),
    code,
    message,
    retryable,
    ...(refusal.retryAfterMs === undefined ? null : { retry_after_ms: refusal.retryAfterMs }),
  };
}
