/** The message types of the connection, as the wire spells them. */
export {
  // Server to client
  MESSAGE_GENERATE,
  MESSAGE_REGENERATE,
  MESSAGE_CREATED,
  CONNECTION_ESTABLISHED,
  PONG,
  PENDING_CHECK_COMPLETE,
  ACCEPTED,
  ERROR,
  // Client to server
  PING,
  GET_PENDING,
} from 'tetherline';
