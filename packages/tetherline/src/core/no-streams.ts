import type { StreamStore } from './types.js';

const NONE: [] = [];

/** Nobody looks at answers while they grow. */
export const NO_STREAMS: Pick<StreamStore, 'getStream' | 'getStreams' | 'subscribe'> = {
  getStream: () => undefined,
  getStreams: () => NONE,
  subscribe: () => () => undefined,
};
