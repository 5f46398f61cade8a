/**
 * `waiting` and `refused` are followed by further attempts, at `retryAt`; `refused` only as long as
 * `getToken` gives tokens. `failed` is final, and `error` says why.
 */
export type ConnectionStatus =
  'signed_out' | 'connecting' | 'connected' | 'waiting' | 'refused' | 'failed';

/**
 * Why the next attempt waits: the connection was lost; `getToken` could not give a token; nobody
 * answered, or something that is not the server, such as a proxy or a login page; the server is
 * willing, but the upgrade does not get through to it; it has too much to do, or restarts; it says that
 * the token is not valid yet; it refuses even fresh tokens.
 */
export type WaitReason =
  'lost' | 'no_token' | 'unreachable' | 'no_upgrade' | 'busy' | 'token_not_yet_valid' | 'refused';

/** What an application may show. The object is the same one for as long as nothing changed. */
export interface Snapshot {
  status: ConnectionStatus;
  /** From `connection_established` until the connection is lost. */
  isConnected: boolean;
  /**
   * Everything has come that was in the mailbox when this connection began. Handlers may still be at work
   * on it. Until the connection is lost.
   */
  isCaughtUp: boolean;
  /** Attempts since the last connection; 0 while connected. */
  reconnectAttempts: number;
  /**
   * When the next attempt begins, in ms since 1970, while `status` is `waiting` or `refused`. In the
   * latter, null says that an attempt is under way, or that there will be none. It is by the clock as that
   * stood when the wait began: the attempt comes in time although somebody sets the clock meanwhile, and
   * a countdown should take the difference once, as `<ConnectionStatus />` does.
   */
  retryAt: number | null;
  /** What it waits for meanwhile. */
  waitReason: WaitReason | null;
  /** Sends that have not settled. */
  outboxLength: number;
  /** Why there can be no connection, while `status` is `failed`. */
  error: Failure | null;
}

/** No attempt can mend it: there is no WebAssembly, or what was given is no user or no address. */
export interface Failure {
  readonly code: 'engine_unavailable' | 'invalid_user' | 'invalid_address';
  /** One sentence. */
  readonly message: string;
}
