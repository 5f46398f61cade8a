// What the engine wants done.
// One by one, and not in one object, so that they are numbers in what browsers load.

export const RESOLVE_TOKEN = 1;
export const OPEN = 2;
export const PROBE = 3;
export const DETACH = 4;
export const PING = 5;
export const GET_PENDING = 6;
export const ACK = 7;
export const AUTHENTICATE = 8;
export const TRANSMIT = 9;
export const SETTLED = 10;
export const STATUS_CHANGED = 11;
export const GAP = 12;
export const GRACE_OVER = 13;
export const HANDLER_TIMED_OUT = 14;
export const IDENTITY_REFUSED = 15;
export const UNPARK_DROPPED = 16;
export const LOCK = 17;
export const UNLOCK = 18;
export const JOIN = 19;
export const WELCOME = 20;
export const SIGNED_OUT_ELSEWHERE = 21;
/** An answer's number, 0 for all of them. */
export const STREAM_DROPPED = 22;
/** And more: the message's own kind is added. */
export const POST = 100;
