// What to do with a message: bits of what the engine's `message` answers.
// One by one, and not in one object, so that they are numbers in what browsers load.

export const DELIVER = 1;
export const PARK = 2;
export const REPLAYED = 4;
export const POLL = 8;
export const UNHANDLED = 16;
export const REACHED = 32;
