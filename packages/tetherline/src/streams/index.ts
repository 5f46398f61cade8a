import type { StreamStore } from '../index.js';
import { Streams } from './streams.js';

export type { StreamedMessage, StreamPort, StreamStatus, StreamStore } from '../index.js';

/** Follows streams. One per client: `createClient({ streams: streamedMessages() })`. */
export function streamedMessages(): StreamStore {
  return new Streams();
}
