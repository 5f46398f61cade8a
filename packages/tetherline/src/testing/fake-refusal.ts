import { ERROR, TOKEN_HEADER } from '../generated/protocol.js';
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

/** What the WebSocket's address answers without an upgrade. */
export interface FakeAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const CODES: Record<number, string> = { 401: 'unauthorized', 426: 'bad_frame', 503: 'unavailable' };

export function answerOf(status: number, retryAfterSeconds: number): FakeAnswer {
  const error = { code: CODES[status], message: 'The test says so.', field: TOKEN_HEADER };
  const headers: Record<string, string> = { 'Content-Type': 'application/json' };
  if (retryAfterSeconds > 0) {
    headers['Retry-After'] = String(retryAfterSeconds);
  }
  return { status, headers, body: JSON.stringify({ error }) };
}

/** A `fetch` that asks the fake server. */
export function fetchFrom(probe: (token: string) => FakeAnswer | null): typeof fetch {
  return (_url, init) => {
    const sent = (init?.headers ?? {}) as Record<string, string | undefined>;
    const answer = probe(tokenOf(sent[TOKEN_HEADER], sent.Authorization));
    if (!answer) {
      return Promise.reject(new TypeError('There is no network.'));
    }
    // Not a real one: jsdom under Jest has no `Response`.
    const response = {
      status: answer.status,
      headers: { get: (name: string) => answer.headers[name] ?? null },
      body: null,
      text: () => Promise.resolve(answer.body),
    };
    return Promise.resolve(response as unknown as Response);
  };
}

/** Whose token is asked about, by what stands in the two headers in which it may. */
export function tokenOf(own: string | undefined, authorization: string | undefined): string {
  return own ?? authorization?.replace('Bearer ', '') ?? '';
}
