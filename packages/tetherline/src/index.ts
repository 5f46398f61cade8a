export { createClient } from './core/client.js';
export { TetherlineError, type TetherlineErrorCode } from './core/errors.js';
export { uuidv7 } from './core/uuid.js';
export type { Logger } from './core/page/log.js';
// `*`, because only so an application can extend `MessageMap` under the name of this package.
export type * from './core/types.js';
export {
  ACCEPTED,
  CONNECTION_ESTABLISHED,
  ERROR,
  ERROR_CODES,
  type ErrorCode,
  GET_PENDING,
  type Limits,
  MESSAGE_CREATED,
  MESSAGE_GENERATE,
  MESSAGE_REGENERATE,
  MAILBOX_GAP,
  PENDING_CHECK_COMPLETE,
  PING,
  PONG,
} from './generated/protocol.js';
