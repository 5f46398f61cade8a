export const COMPONENTS = 50;

/** Who lets components hear messages, and how. */
export const CONTESTANTS = {
  tetherline: 'Tetherline',
  filtered: 'react-use-websocket, share and filter',
  unfiltered: 'react-use-websocket, share alone',
} as const;

export type Contestant = keyof typeof CONTESTANTS;
