import { type Client, createClient, type Message } from 'tetherline';

import { MemorySocket, MemoryWebSocket } from './memory-socket.js';
import { median } from './statistics.js';
import { type Alphabet, chatFrame } from './texts.js';

export interface DispatchSize {
  /** Not measured: the compiler optimises on other threads, which a busy machine makes wait. */
  readonly warmUpSlices: number;
  /** In each, both read the same messages; the median of the ratios counts. */
  readonly slices: number;
  readonly messagesPerSlice: number;
}

export interface DispatchFigure {
  readonly handlers: number;
  readonly alphabet: Alphabet;
  /** Tetherline's time by plain JavaScript's. */
  readonly ratio: number;
  readonly plainNs: number;
  readonly tetherlineNs: number;
}

/** There with `--expose-gc`. */
declare const gc: (options: { type: 'minor' }) => void;

type Receive = (data: string) => void;
type Handle = (message: Message) => void;

interface Reader {
  readonly receive: Receive;
  /** How often handlers were called, and what they have seen. */
  readonly seen: { calls: number; characters: number };
}

export async function measureDispatch(
  size: DispatchSize,
  wait: () => Promise<void>,
): Promise<DispatchFigure[]> {
  const figures: DispatchFigure[] = [];
  for (const alphabet of ['ascii', 'other'] as const) {
    for (const handlers of [1, 10]) {
      figures.push(await compare(handlers, alphabet, size, wait));
    }
  }
  return figures;
}

async function compare(
  handlers: number,
  alphabet: Alphabet,
  { warmUpSlices, slices, messagesPerSlice }: DispatchSize,
  wait: () => Promise<void>,
): Promise<DispatchFigure> {
  const plain = plainReader(handlers);
  const { client, reader: ours } = await tetherlineReader(handlers);
  const times: { plain: number; ours: number }[] = [];
  let seq = 0;
  const nextTexts = () =>
    Array.from({ length: messagesPerSlice }, () => chatFrame(++seq, alphabet));
  for (let slice = -warmUpSlices; slice < slices; slice++) {
    const [some, others] = [nextTexts(), nextTexts()];
    // Twice, so that the texts have come to rest.
    collect();
    collect();
    const [first, second] = slice % 2 === 0 ? [plain, ours] : [ours, plain];
    const took = new Map<Reader, number>();
    // Whoever comes second finds the texts in the cache: each does, once.
    for (const [reader, texts] of [
      [first, some],
      [second, some],
      [second, others],
      [first, others],
    ] as const) {
      took.set(reader, (took.get(reader) ?? 0) + timed(reader, texts));
    }
    if (slice >= 0) {
      times.push({ plain: took.get(plain) ?? 0, ours: took.get(ours) ?? 0 });
    }
    // Timers and acknowledgements have their turn, as between the bursts of a network.
    await wait();
  }
  const expected = seq * handlers;
  assertEqual(plain.seen.calls, expected, 'handler calls of plain JavaScript');
  assertEqual(ours.seen.calls, expected, "Tetherline's handler calls");
  assertEqual(ours.seen.characters, plain.seen.characters, 'characters that handlers saw');
  client.destroy();
  const ns = (ms: number) => (ms * 1e6) / (2 * messagesPerSlice);
  return {
    handlers,
    alphabet,
    ratio: median(times.map((time) => time.ours / time.plain)),
    plainNs: ns(median(times.map((time) => time.plain))),
    tetherlineNs: ns(median(times.map((time) => time.ours))),
  };
}

function timed({ receive }: Reader, texts: readonly string[]): number {
  collect();
  const started = performance.now();
  for (const text of texts) {
    receive(text);
  }
  return performance.now() - started;
}

/** Left to itself, the collector falls into step with the slices and charges one reader for both. */
function collect(): void {
  gc({ type: 'minor' });
}

/** What one writes without a library: parse, look up, call, and let no handler stop the others. */
function plainReader(handlers: number): Reader {
  const { seen, made } = countingHandlers(handlers);
  const byType = new Map<string, Handle[]>([['message_generate', made]]);
  const socket: { onmessage: ((event: { data: string }) => void) | null } = { onmessage: null };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data) as Message;
    for (const handle of byType.get(message.type) ?? []) {
      try {
        handle(message);
      } catch (error) {
        console.error(error);
      }
    }
  };
  return { seen, receive: (data) => socket.onmessage?.({ data }) };
}

async function tetherlineReader(handlers: number): Promise<{ client: Client; reader: Reader }> {
  const { seen, made } = countingHandlers(handlers);
  const client = createClient({
    url: 'ws://bench.invalid',
    getToken: () => 'token',
    WebSocket: MemoryWebSocket,
  });
  for (const handle of made) {
    client.on({ message_generate: handle });
  }
  const connected = new Promise<void>((resolve) => {
    client.subscribe(() => {
      if (client.getSnapshot().isConnected) {
        resolve();
      }
    });
  });
  client.signIn(`reader-${crypto.randomUUID()}`);
  await connected;
  const socket = MemorySocket.latest;
  if (!socket) {
    throw new Error('The client is connected without a socket.');
  }
  return { client, reader: { seen, receive: (data) => socket.receive(data) } };
}

function countingHandlers(count: number): { seen: Reader['seen']; made: Handle[] } {
  const seen = { calls: 0, characters: 0 };
  const made = Array.from({ length: count }, () => (message: Message) => {
    seen.calls += 1;
    seen.characters += (message['message'] as string).length;
  });
  return { seen, made };
}

function assertEqual(found: number, expected: number, what: string): void {
  if (found !== expected) {
    throw new Error(`${what}: ${found} instead of ${expected}`);
  }
}
