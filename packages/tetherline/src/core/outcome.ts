// How a send ended: `arg_b` of SETTLED.
// One by one, and not in one object, so that they are numbers in what browsers load.

export const ACCEPTED = 0;
export const REFUSED = 1;
export const EXPIRED = 2;
export const SIGNED_OUT = 3;
