import type { ErrorCode } from '../generated/protocol.js';

/** What only this side can say; everything else is the server's or the application's. */
export type LocalErrorCode =
  | 'signed_out'
  | 'outbox_full'
  | 'expired'
  | 'handler_timeout'
  | 'engine_unavailable'
  | 'invalid_user'
  | 'invalid_address';

// `string & {}` keeps the known names for completion and admits those of applications.
export type TetherlineErrorCode = ErrorCode | LocalErrorCode | (string & {});

/** Why something failed: a code for programs, a sentence for people. */
export class TetherlineError extends Error {
  override readonly name = 'TetherlineError';
  readonly code: TetherlineErrorCode;
  /** Whether the very same message is worth another try. */
  readonly retryable: boolean;
  /** The id of the send that this is about. */
  readonly ref: string | undefined;

  constructor(
    code: TetherlineErrorCode,
    message: string,
    details: { retryable?: boolean; ref?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.ref = details.ref;
  }
}

/** Only an application's own `url` throws something else. */
export function failureOf(error: unknown): TetherlineError {
  return error instanceof TetherlineError
    ? error
    : new TetherlineError('invalid_address', String(error));
}
