// What tabs post to each other: the engine's own messages, with three numbers, and from FRAME on what
// never crosses into it.
// One by one, and not in one object, so that they are numbers in what browsers load.

export { PING, SIGNED_OUT } from '../../generated/engine/tab.js';

export const FRAME = 10;
export const OUT = 11;
export const ASK = 12;
export const WELCOME = 13;
