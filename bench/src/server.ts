import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { type WebSocket, WebSocketServer } from 'ws';

import { COMPLETE, ESTABLISHED } from './pages/memory-socket.js';

/** The timers of an operating system are no finer. */
const TICK_MS = 5;

/**
 * Serves the pages on loopback, and plays the delivery server to whoever connects. It keeps nothing:
 * the browser is what is measured, on a machine that both share.
 */
export class BenchServer {
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #awaited = new Map<string, (body: string) => void>();

  private constructor(http: Server) {
    this.#http = http;
    this.#sockets = new WebSocketServer({
      server: http,
      handleProtocols: (offered) => (offered.has('tetherline.v1') ? 'tetherline.v1' : false),
    });
    this.#sockets.on('connection', (socket) => {
      socket.on('message', (data) => answer(socket, (data as Buffer).toString()));
      if (socket.protocol === 'tetherline.v1') {
        socket.send(ESTABLISHED);
      }
    });
  }

  static async start(folder: URL): Promise<BenchServer> {
    const http = createServer((request, response) => {
      const name = /^\/([a-z-]+)(\?|$)/.exec(request.url ?? '')?.[1];
      if (request.method === 'POST') {
        void text(request).then((body) => server.#awaited.get(name ?? '')?.(body));
        response.end();
        return;
      }
      // Isolated pages have a finer clock.
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      if (!name || name === 'favicon') {
        response.writeHead(404).end();
        return;
      }
      const script = readFileSync(new URL(`${name}.js`, folder), 'utf8');
      response.end(
        `<!doctype html><title>${name}</title><body><script type="module">${script.replaceAll('</script', '<\\/script')}</script>`,
      );
    });
    const server = new BenchServer(http);
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** What a page posts to this path, next. */
  posted(path: string): Promise<string> {
    return new Promise((resolve) => this.#awaited.set(path, resolve));
  }

  /** Sends so many messages to every connection, at an even rate whatever the timers do. */
  async publish(
    count: number,
    perSecond: number,
    frame: (seq: number) => string,
  ): Promise<{ tookMs: number }> {
    const started = performance.now();
    await new Promise<void>((resolve) => {
      let sent = 0;
      const timer = setInterval(() => {
        const due = Math.min(count, ((performance.now() - started) * perSecond) / 1_000);
        while (sent < due) {
          const message = frame(++sent);
          for (const socket of this.#sockets.clients) {
            socket.send(message);
          }
        }
        if (sent >= count) {
          clearInterval(timer);
          resolve();
        }
      }, TICK_MS);
    });
    return { tookMs: performance.now() - started };
  }

  /** Whoever is measured next is alone. */
  hangUp(): void {
    for (const socket of this.#sockets.clients) {
      socket.terminate();
    }
  }

  stop(): void {
    this.hangUp();
    this.#http.closeAllConnections();
    this.#http.close();
  }
}

function answer(socket: WebSocket, frame: string): void {
  if (frame.startsWith('{"type":"get_pending"')) {
    socket.send(COMPLETE);
  }
}
