import { STATUS } from '../../generated/engine/status.js';
import { WAIT_REASONS } from '../../generated/engine/wait-reason.js';
import type { Engine } from '../engine/engine.js';
import { monotonicNow } from '../engine/loop.js';
import type { TetherlineError } from '../errors.js';
import type { Failure, Snapshot } from '../types.js';

/** Nobody is signed in, as on a server that renders a page. */
export const SIGNED_OUT: Snapshot = {
  status: 'signed_out',
  isConnected: false,
  isCaughtUp: false,
  reconnectAttempts: 0,
  retryAt: null,
  waitReason: null,
  outboxLength: 0,
  error: null,
};

/** The snapshot and who wants to know. The object is replaced only when something changed. */
export class Snapshots {
  current = SIGNED_OUT;
  readonly #listeners = new Set<() => void>();
  #engineRetryAt = -1;

  subscribe(listener: () => void): () => void {
    // Wrapped: the same function may subscribe twice, and each subscription ends by itself.
    const subscription = () => listener();
    this.#listeners.add(subscription);
    return () => this.#listeners.delete(subscription);
  }

  clear(): void {
    this.#listeners.clear();
  }

  /** Reads the engine. Answers whom to tell, which is nobody if nothing changed. */
  refresh(engine: Engine): Iterable<() => void> {
    const old = this.current;
    const engineRetryAt = engine.retry_at();
    const status = STATUS[engine.status()] ?? old.status;
    const isCaughtUp = engine.caught_up() === 1;
    const reconnectAttempts = engine.attempts();
    const waitReason = WAIT_REASONS[engine.wait_reason()] ?? null;
    const outboxLength = engine.outbox_length();
    if (
      status === old.status &&
      isCaughtUp === old.isCaughtUp &&
      reconnectAttempts === old.reconnectAttempts &&
      waitReason === old.waitReason &&
      outboxLength === old.outboxLength &&
      old.error === null &&
      engineRetryAt === this.#engineRetryAt
    ) {
      return [];
    }
    this.#engineRetryAt = engineRetryAt;
    this.current = {
      status,
      isConnected: status === 'connected',
      isCaughtUp,
      reconnectAttempts,
      retryAt: engineRetryAt < 0 ? null : Date.now() + engineRetryAt - monotonicNow(),
      waitReason,
      outboxLength,
      error: null,
    };
    return this.#listeners;
  }

  /** What the engine does not say. Answers whom to tell. */
  show(status: Snapshot['status'], error: TetherlineError | null): Iterable<() => void> {
    // Plain, so that it may be put into any store.
    const failure = error && { code: error.code as Failure['code'], message: error.message };
    this.current = { ...SIGNED_OUT, status, error: failure };
    return this.#listeners;
  }
}
