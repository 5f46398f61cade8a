import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import { type WebSocket, WebSocketServer } from 'ws';

import { until } from './until.js';

export type Frame = Record<string, unknown> & { type: string };

/**
 * A real WebSocket server on loopback that plays the Tetherline server from a script: it keeps a
 * list of messages per user and does what the test tells it. It checks nothing and stores nothing.
 */
export class ScriptedServer {
  readonly connections: ScriptedConnection[] = [];
  readonly probes: { url: string; authorization: string | undefined; token: unknown }[] = [];
  /** What an upgrade is answered with; 101 lets it through. */
  upgradeStatus = 101;
  /** What the same URL answers without an upgrade. */
  probeStatus = 426;
  probeHeaders: Record<string, string> = {};
  /** A proxy in front that lets nothing through without this `Authorization`. */
  gate: string | null = null;
  /** Whether it knows the token's own header, as older versions do not. */
  readsTokenHeader = true;
  /** Instead of the body that the server gives to that status. */
  probeBody: string | null = null;
  epoch = 'epoch-1';
  /** Per user; the position is the index plus one. */
  readonly mailboxes = new Map<string, Frame[]>();
  /** Per device, where `connection_established` says that it stands. */
  readonly cursors = new Map<string, number>();
  /** Whether `connection_established`, `pong`, pending messages and `accepted` come by themselves. */
  establishes = true;
  answersPings = true;
  replays = true;
  accepts = true;
  /** What goes with every `accepted`. */
  answer: unknown = undefined;
  established: Record<string, unknown> = {};
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('tetherline.v1') ? 'tetherline.v1' : false),
  });

  private constructor(http: Server) {
    this.#http = http;
    http.on('request', (request, response) => {
      const { authorization, 'tetherline-token': token } = request.headers;
      this.probes.push({ url: request.url ?? '', authorization, token });
      if (this.gate !== null && authorization !== this.gate) {
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="gate"' }).end('<h1>401</h1>');
      } else if (this.readsTokenHeader || authorization?.startsWith('Bearer ')) {
        response.writeHead(this.probeStatus, this.probeHeaders);
        response.end(this.probeBody ?? problem(this.probeStatus, token && 'tetherline-token'));
      } else {
        response.writeHead(401).end(problem(401));
      }
    });
    http.on('upgrade', (request, socket, head) => {
      if (this.upgradeStatus !== 101) {
        socket.end(`HTTP/1.1 ${this.upgradeStatus} No\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.connections.push(new ScriptedConnection(this, webSocket, request, socket));
      });
    });
  }

  static async start(): Promise<ScriptedServer> {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return new ScriptedServer(http);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  get open(): ScriptedConnection[] {
    return this.connections.filter((connection) => connection.closeCode === null);
  }

  /** The connection of this number, from 1 on, once it has been set up. */
  async connection(number: number): Promise<ScriptedConnection> {
    return await until(
      () => this.connections[number - 1],
      `connection ${number}; there are ${this.connections.length}`,
    );
  }

  mailbox(user: string): Frame[] {
    let mailbox = this.mailboxes.get(user);
    if (!mailbox) {
      mailbox = [];
      this.mailboxes.set(user, mailbox);
    }
    return mailbox;
  }

  /** Appends to the mailbox and sends to whoever is connected. */
  publish(user: string, frame: Frame): number {
    const mailbox = this.mailbox(user);
    const seq = mailbox.length + 1;
    mailbox.push({ id: `m${seq}`, ...frame, seq });
    for (const connection of this.open) {
      if (connection.user === user && connection.isLive) {
        connection.send(mailbox[seq - 1]!);
      }
    }
    return seq;
  }

  async stop(): Promise<void> {
    for (const connection of this.connections) {
      connection.terminate();
    }
    this.#sockets.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

export class ScriptedConnection {
  readonly user: string;
  readonly device: string;
  readonly token: string;
  readonly frames: Frame[] = [];
  closeCode: number | null = null;
  isLive = false;
  readonly #server: ScriptedServer;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;

  constructor(server: ScriptedServer, socket: WebSocket, request: IncomingMessage, stream: Duplex) {
    this.#server = server;
    this.#stream = stream;
    this.#socket = socket;
    const url = new URL(request.url ?? '', 'http://server');
    this.user = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    this.device = url.searchParams.get('device') ?? '';
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(/, */);
    this.token = protocols[1]?.replace(/^bearer\./, '') ?? '';
    socket.on('message', (data) => this.#receive(JSON.parse((data as Buffer).toString()) as Frame));
    socket.on('close', (code) => (this.closeCode = code));
    if (server.establishes) {
      this.establish();
    }
  }

  establish(fields: Record<string, unknown> = {}): void {
    this.send({
      type: 'connection_established',
      connection_id: 'c1',
      user_uuid: this.user,
      protocol: 1,
      epoch: this.#server.epoch,
      head: this.#server.mailbox(this.user).length,
      cursor: this.#server.cursors.get(this.device) ?? 0,
      heartbeat_interval_ms: 30_000,
      token_expires_in_ms: 3_600_000,
      limits: { message_bytes_max: 65_536 },
      timestamp: new Date().toISOString(),
      ...this.#server.established,
      ...fields,
    });
  }

  send(frame: Frame): void {
    this.sendText(JSON.stringify(frame));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /** The frame of this type and number, from 1 on, once it has come. */
  async frame(type: string, number = 1): Promise<Frame> {
    return await until(() => this.ofType(type)[number - 1], `${type} number ${number}`);
  }

  ofType(type: string): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** What is sent meanwhile leaves in one piece, so that it arrives in one. */
  inOneBreath(action: () => void): void {
    this.#stream.cork();
    action();
    this.#stream.uncork();
  }

  close(code: number, reason?: string): void {
    this.#socket.close(code, reason);
  }

  /** Ends the connection without a goodbye. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** The peer takes nothing and says nothing any more, as on a dead link. */
  goSilent(): void {
    this.#socket.pause();
    this.isLive = false;
  }

  #receive(frame: Frame): void {
    this.frames.push(frame);
    const { type } = frame;
    if (type === 'ping') {
      if (this.#server.answersPings) {
        this.send({ type: 'pong', timestamp: frame.timestamp, server_time: 'now' });
      }
    } else if (type === 'get_pending') {
      this.isLive = true;
      if (this.#server.replays) {
        this.#replay(Number(frame.after ?? 0));
      }
    } else if (type === 'ack') {
      this.#server.cursors.set(this.device, Number(frame.seq));
    } else if (type !== 'authenticate' && this.#server.accepts) {
      this.send({ type: 'accepted', ref: frame.id, answer: this.#server.answer });
    }
  }

  #replay(after: number): void {
    const pending = this.#server.mailbox(this.user).slice(after);
    for (const frame of pending) {
      this.send(frame);
    }
    this.send({
      type: 'pending_check_complete',
      data: {
        delivered: pending.length,
        head: this.#server.mailbox(this.user).length,
        recovered: true,
        streams: 0,
      },
    });
  }
}

const CODES: Record<number, string> = {
  401: 'unauthorized',
  403: 'forbidden',
  426: 'bad_frame',
  503: 'unavailable',
};

/** An error as the server says it. */
function problem(status: number, field?: unknown): string {
  return JSON.stringify({ error: { code: CODES[status], message: 'As scripted.', field } });
}
