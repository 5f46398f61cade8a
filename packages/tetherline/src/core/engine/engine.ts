/**
 * The exports of crates/wasm. Only numbers cross: times are whole ms of a monotonic clock, `conn`
 * and `send` the engine's own numbers, -1 or 0 stand for "none" where the crate says so.
 */
export interface Engine {
  init(seedLow: number, seedHigh: number): void;

  sign_in(now: number): void;
  sign_in_among_tabs(visible: number, now: number): void;
  sign_out(now: number): void;
  leave(now: number): void;
  step_away(now: number): void;
  online(online: number, now: number): void;
  wake(now: number): void;
  visible(visible: number, now: number): void;
  timeout(now: number): void;
  request_pending(now: number): void;
  history_as_of(seq: number, now: number): void;
  send(size: number, ttlMs: number, restored: number, now: number): number;
  hold_sends(hold: number, now: number): void;

  token(now: number): void;
  token_unavailable(signedOut: number, now: number): void;
  opened(conn: number, now: number): void;
  /** `retryAfterMs`: when the server wants this client back; 0, or NaN, if it does not say. */
  closed(conn: number, code: number, retryAfterMs: number, now: number): void;
  probed(conn: number, status: number, code: number, retryAfterMs: number, now: number): void;
  established(
    conn: number,
    epoch: number,
    head: number,
    cursor: number,
    cursorId: number,
    checks: number,
    heartbeatMs: number,
    tokenExpiresMs: number,
    now: number,
  ): void;
  received(conn: number): void;
  complete(conn: number, now: number): void;
  gap(conn: number, after: number, next: number, passed: number, now: number): void;
  checked(
    conn: number,
    after: number,
    afterId: number,
    from: number,
    fromId: number,
    now: number,
  ): void;
  accepted(conn: number, send: number, now: number): void;
  refused(conn: number, send: number, retryable: number, retryAfterMs: number, now: number): void;

  lock(granted: number, now: number): void;
  tab(from: number, kind: number, a: number, b: number, c: number, now: number): void;
  ask(after: number, id: number, epoch: number, now: number): void;
  /** A send of another tab: its number, or -1 when there is no connection. */
  pass_on(now: number): number;
  welcome(
    from: number,
    toAll: number,
    epoch: number,
    head: number,
    cursor: number,
    position: number,
    id: number,
    heartbeatMs: number,
    now: number,
  ): void;

  /** Answers bits of generated/engine/delivery.ts. */
  message(conn: number, seq: number, id: number, handlers: number, size: number): number;
  /** The same for a message without a handler, whose type is held. */
  held_message(conn: number, seq: number, id: number, size: number): number;
  /** Messages up to this one came that were foreseen. */
  passed(conn: number, seq: number, id: number): void;
  hold(seq: number, now: number): void;
  handled(seq: number, now: number): void;
  unpark(seq: number, now: number): void;
  keep(seq: number): void;

  /** 1 if the stream begins from nothing now. */
  stream_start(conn: number, stream: number, attempt: number): number;
  /** How much of the piece is there already, or -1 if nothing of it is to be appended. */
  stream_delta(
    conn: number,
    stream: number,
    attempt: number,
    offset: number,
    length: number,
  ): number;
  /** 1 if it ends now. */
  stream_end(conn: number, stream: number, attempt: number): number;
  /** 1 if what there is of it is to be forgotten. */
  stream_lost(conn: number, stream: number, attempt: number): number;

  status(): number;
  /** 1 if everything has come that was in the mailbox when this connection began. */
  caught_up(): number;
  attempts(): number;
  wait_reason(): number;
  retry_at(): number;
  next_timeout(): number;
  position(): number;
  position_id(): number;
  outbox_length(): number;

  /** The next of generated/engine/output.ts, 0 when there is none; its arguments are `arg_a` to `arg_d`. */
  poll(): number;
  arg_a(): number;
  arg_b(): number;
  arg_c(): number;
  arg_d(): number;
}
