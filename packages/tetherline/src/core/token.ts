import type { Call } from './loop.js';
import type { Reporter } from './report.js';
import type { Session } from './session.js';
import type { ClientOptions } from './types.js';

/** Asks the application for a token, and tells the engine what came of it. */
export function resolveToken(
  session: Session,
  fresh: boolean,
  options: ClientOptions,
  report: Reporter,
  call: (into: Call) => void,
): void {
  session.resolving?.abort();
  const request = new AbortController();
  session.resolving = request;
  const { signal } = request;
  const answer = (token: unknown) => {
    if (signal.aborted) {
      return;
    }
    if (typeof token === 'string' && token !== '') {
      session.token = token;
      call((engine, now) => engine.token(now));
    } else {
      call((engine, now) => engine.token_unavailable(1, now));
    }
  };
  const failed = (error: unknown) => {
    if (!signal.aborted) {
      report.problem('`getToken` failed; it is asked again with the next attempt.', error);
      call((engine, now) => engine.token_unavailable(0, now));
    }
  };
  // Not in this call: whatever the application does in there finds us idle.
  Promise.resolve()
    .then(() => (signal.aborted ? null : options.getToken({ user: session.user, fresh, signal })))
    .then(answer, failed);
}
