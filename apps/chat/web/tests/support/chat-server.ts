import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export type Frame = Record<string, unknown> & { type: string };
type Answer = { status: number; body?: unknown };

export const ADA = { uuid: 'user-ada', name: 'Ada Lovelace', email: 'ada@example.org' };

/**
 * A real HTTP and WebSocket server on loopback that plays the chat backend from a script. It
 * answers what the test put into `answers`, remembers what it was asked, and decides nothing.
 */
export class ScriptedChat {
  /** What was asked over HTTP, as `METHOD /path`. */
  readonly requests: string[] = [];
  readonly sockets: WebSocket[] = [];
  /** Every frame that came, from all sockets. */
  readonly frames: Frame[] = [];
  readonly answers: Record<string, Answer | undefined> = {
    'POST /api/auth/refresh': session(),
    'POST /api/auth/sign-in': session(),
    'POST /api/auth/sign-up': { ...session(), status: 201 },
    'POST /api/auth/sign-out': { status: 204 },
    'GET /api/conversations': { status: 200, body: { conversations: [], as_of_seq: 0 } },
  };
  /** Whether sends are taken by themselves. */
  accepts = true;
  /** Whether connections are turned away, with the wish not to be asked for an hour. */
  isAway = false;
  #seq = 0;
  readonly #http: Server;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    handleProtocols: () => 'tetherline.v1',
  });

  private constructor(http: Server) {
    this.#http = http;
    http.on('request', (request, response) => this.#answer(request, response));
    http.on('upgrade', (request, socket, head) => {
      if (this.isAway) {
        socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n');
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#connected(webSocket);
      });
    });
  }

  static async start(): Promise<ScriptedChat> {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return new ScriptedChat(http);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  framesOf(type: string): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** A durable message for everybody who is connected. */
  publish(frame: Frame): void {
    this.#seq += 1;
    this.send({ id: `m${this.#seq}`, seq: this.#seq, ...frame });
  }

  send(frame: Frame): void {
    this.sendText(JSON.stringify(frame));
  }

  sendText(text: string): void {
    for (const socket of this.sockets) {
      if (socket.readyState === socket.OPEN) {
        socket.send(text);
      }
    }
  }

  hangUp(): void {
    for (const socket of this.sockets) {
      socket.terminate();
    }
  }

  async stop(): Promise<void> {
    this.hangUp();
    this.#webSockets.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, search } = new URL(request.url ?? '', this.url);
    const asked = `${request.method ?? ''} ${pathname}`;
    this.requests.push(asked + search);
    if (this.isAway && asked.startsWith('GET /ws/')) {
      response.writeHead(503, { 'retry-after': '3600' }).end();
      return;
    }
    const { status, body } = this.answers[asked] ?? { status: 404 };
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  }

  #connected(socket: WebSocket): void {
    this.sockets.push(socket);
    socket.on('message', (data) =>
      this.#receive(socket, JSON.parse((data as Buffer).toString()) as Frame),
    );
    const established = {
      type: 'connection_established',
      connection_id: 'c1',
      user_uuid: ADA.uuid,
      protocol: 1,
      epoch: 'e1',
      head: this.#seq,
      cursor: this.#seq,
      heartbeat_interval_ms: 30_000,
      token_expires_in_ms: 900_000,
      limits: {},
      timestamp: new Date().toISOString(),
    };
    socket.send(JSON.stringify(established));
  }

  #receive(socket: WebSocket, frame: Frame): void {
    this.frames.push(frame);
    if (frame.type === 'ping') {
      socket.send(JSON.stringify({ type: 'pong', server_time: 'now' }));
    } else if (frame.type === 'get_pending') {
      const data = { delivered: 0, head: this.#seq, recovered: true, streams: 0 };
      socket.send(JSON.stringify({ type: 'pending_check_complete', data }));
    } else if (frame.type !== 'ack' && this.accepts) {
      socket.send(JSON.stringify({ type: 'accepted', ref: frame.id }));
    }
  }
}

export function session(user = ADA): Answer {
  return {
    status: 200,
    body: { user, access_token: `token-of-${user.uuid}`, expires_in_ms: 900_000 },
  };
}
