import type { Message } from '../index.js';

/** How a fake server is set up. */
export interface FakeServerOptions {
  /** Whom `publish` means where it names nobody. Default: `user`. */
  user?: string;
  /** Default: 30 s. */
  heartbeatIntervalMs?: number;
  /** Default: one hour. */
  tokenLifetimeMs?: number;
  /**
   * The application behind the server: called once for every send that is accepted. What it returns, if
   * that is JSON, is what the sender is answered.
   */
  onSend?: (message: Message, user: string) => unknown;
  /** Called once for every `message_stop` that is accepted; the answer is stopped already. */
  onStop?: (message: Message, user: string) => void;
}

/** Whoever returns nothing, or writes an `async` function, answers nobody. */
export function addAnswer(outcome: Message, said: unknown): void {
  if (said !== undefined && said !== null && !(said instanceof Promise)) {
    outcome.answer = said;
  }
}
