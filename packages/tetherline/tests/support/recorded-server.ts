import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import { type WebSocket, WebSocketServer } from 'ws';

import type { Frame } from './scripted-server.js';
import { until } from './until.js';

/** The steps of `compat/` that concern a page. */
interface Step {
  open?: number;
  page?: number;
  server?: number;
  close?: number;
  frame?: Frame;
  status?: number;
  by?: 'page' | 'server' | 'network';
  code?: number;
  probe?: string;
  answer?: { status: number; headers: Record<string, string>; body: unknown };
}

/** What a page says by itself; everything else its application makes it say. */
const BY_ITSELF = ['get_pending', 'ack', 'authenticate', 'ping'];
/** Values that are never the same twice. */
const OF_THEIR_TIME = ['timestamp', 'token'];
type Says = (frame: Frame | 'goodbye') => Promise<void> | void;

interface Connection {
  socket: WebSocket;
  frames: Frame[];
  closeCode: number | null;
}

/**
 * Says to a page what a server of an older version said, word by word, as soon as the page has said
 * what the page of then had said before.
 */
export class RecordedServer {
  readonly #steps: Step[];
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: () => 'tetherline.v1',
  });
  readonly #upgrades: [IncomingMessage, Duplex, Buffer][] = [];
  readonly #probes: ((answer: NonNullable<Step['answer']>) => void)[] = [];
  readonly #connections = new Map<number, Connection>();
  /** What a page calls now, by itself, what was recorded under another name. */
  readonly #ids = new Map<unknown, unknown>();

  private constructor(story: string, http: Server) {
    const file = new URL(`../../../../compat/2026-11-26/${story}.jsonl`, import.meta.url);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    this.#steps = lines.map((line) => JSON.parse(line) as Step);
    this.#http = http;
    http.on('upgrade', (...upgrade) => void this.#upgrades.push(upgrade));
    http.on('request', (_, response) => {
      this.#probes.push(({ status, headers, body }) => {
        response.writeHead(status, headers).end(JSON.stringify(body));
      });
    });
  }

  static async of(story: string): Promise<RecordedServer> {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return new RecordedServer(story, http);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Plays it all. `says` makes the page send what its application sent then, or sign out. */
  async play(says: Says): Promise<void> {
    const said = new Set<unknown>();
    for (const [index, step] of this.#steps.entries()) {
      const place = `step ${index + 1}`;
      const number = step.page ?? step.server ?? step.close ?? 0;
      const connection = this.#connections.get(number);
      if (step.open !== undefined) {
        await this.#opens(step, place);
      } else if (step.probe !== undefined) {
        const answer = await until(() => this.#probes.shift(), `${place}: the question why`);
        answer(step.answer!);
      } else if (step.server !== undefined) {
        const { ref, ...frame } = step.frame!;
        const now = ref === undefined ? {} : { ref: this.#ids.get(ref) ?? ref };
        connection!.socket.send(JSON.stringify({ ...frame, ...now }));
      } else if (step.page !== undefined) {
        const frame = step.frame!;
        // It comes by itself when it was refused for now, and on a new connection.
        if (!BY_ITSELF.includes(frame.type) && !said.has(frame.id)) {
          said.add(frame.id);
          await says(frame);
        }
        await until(() => this.#heard(connection!, frame), `${place}: ${JSON.stringify(frame)}`);
      } else if (step.close !== undefined) {
        await this.#closes(step, connection!, place, says);
      }
    }
  }

  async stop(): Promise<void> {
    for (const { socket } of this.#connections.values()) {
      socket.terminate();
    }
    for (const [, stream] of this.#upgrades) {
      stream.destroy();
    }
    this.#sockets.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  async #opens({ open, status }: Step, place: string): Promise<void> {
    const upgrade = await until(() => this.#upgrades.shift(), `${place}: a connection`);
    const [request, stream, head] = upgrade;
    if (status !== 101) {
      stream.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, stream, head, (socket) => {
      const connection: Connection = { socket, frames: [], closeCode: null };
      socket.on('message', (data) =>
        connection.frames.push(JSON.parse((data as Buffer).toString()) as Frame),
      );
      socket.on('close', (code) => (connection.closeCode = code));
      this.#connections.set(open!, connection);
    });
  }

  async #closes(
    { by, code }: Step,
    connection: Connection,
    place: string,
    says: Says,
  ): Promise<void> {
    if (by === 'network') {
      connection.socket.terminate();
    } else if (by === 'server') {
      connection.socket.close(code);
    } else {
      await says('goodbye');
      await until(() => connection.closeCode === code, `${place}: a close with ${code}`);
    }
  }

  /** Takes the next frame of this type: one that has all that the recorded one has. */
  #heard({ frames }: Connection, recorded: Frame): boolean {
    const index = frames.findIndex((frame) => frame.type === recorded.type);
    if (index < 0) {
      return false;
    }
    const frame = frames.splice(index, 1)[0]!;
    if (recorded.type === 'ack') {
      // It may come in two.
      return Number(frame.seq) >= Number(recorded.seq);
    }
    if (recorded.type === 'message_stop') {
      this.#ids.set(recorded.id, frame.id);
      return says({ ...recorded, id: frame.id }, frame);
    }
    return says(recorded, frame);
  }
}

function says(recorded: unknown, now: unknown): boolean {
  if (typeof recorded !== 'object' || recorded === null) {
    return recorded === now;
  }
  return Object.entries(recorded).every(([key, value]) => {
    const other = (now as Record<string, unknown> | undefined)?.[key];
    return OF_THEIR_TIME.includes(key) ? typeof other === typeof value : says(value, other);
  });
}
