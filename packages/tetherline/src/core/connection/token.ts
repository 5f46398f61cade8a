import { TOKEN_TIMEOUT_MS } from '../../generated/protocol.js';
import { type Call, monotonicNow } from '../engine/loop.js';
import type { Reporter } from '../page/report.js';
import type { Session } from '../session.js';
import type { ClientOptions } from '../types.js';

/** Asks the application for a token, and tells the engine what came of it. */
export function resolveToken(
  session: Session,
  fresh: boolean,
  options: ClientOptions,
  report: Reporter,
  call: (into: Call) => void,
): void {
  const complain = (text: string, cause?: unknown) => {
    if (!session.isTokenOverdue) {
      session.isTokenOverdue = true;
      report.problem(text, cause);
    }
  };
  const now = monotonicNow();
  if (now - session.askedAt >= TOKEN_TIMEOUT_MS) {
    complain('`getToken` has not answered in 10 s; it is asked again with each attempt.');
  }
  session.askedAt = now;
  session.resolving?.abort();
  const request = new AbortController();
  session.resolving = request;
  const { signal } = request;
  const answer = (token: unknown) => {
    if (signal.aborted) {
      return;
    }
    session.askedAt = Infinity;
    if (isToken(token)) {
      session.isTokenOverdue = false;
      session.token = token;
      call((engine, now) => engine.token(now));
    } else if (token === null) {
      call((engine, now) => engine.token_unavailable(1, now));
    } else {
      complain(
        `\`getToken\` answered ${inWords(token)} instead of a token, or null when nobody is signed in; ` +
          'it is asked again with each attempt.',
      );
      call((engine, now) => engine.token_unavailable(0, now));
    }
  };
  const failed = (error: unknown) => {
    if (!signal.aborted) {
      session.askedAt = Infinity;
      complain('`getToken` failed; it is asked again with each attempt.', error);
      call((engine, now) => engine.token_unavailable(0, now));
    }
  };
  // Not in this call: whatever the application does in there finds us idle.
  Promise.resolve()
    .then(() => (signal.aborted ? null : options.getToken({ user: session.user, fresh, signal })))
    .then(answer, failed);
}

/** What a WebSocket takes as a subprotocol, and so does every JWT: RFC 9110's `token`. */
function isToken(answer: unknown): answer is string {
  return typeof answer === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(answer);
}

/** Never the text itself: it may hold half a secret, or a whole page. */
function inWords(answer: unknown): string {
  if (typeof answer === 'string') {
    return answer === '' ? 'an empty text' : 'a text with characters that no token has';
  }
  return answer === undefined ? 'undefined' : `a value of type ${typeof answer}`;
}
