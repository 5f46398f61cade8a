import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import {
  createServer,
  request as ask,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../../../..');
const BINARY = process.env['TETHERLINE_BIN'] ?? join(ROOT, 'target/debug/tetherline');
const PACKAGE = join(ROOT, 'packages/tetherline/dist');

const PAGE = `<script type="module">
  import { createClient } from '/package/index.js';
  const url = location.origin.replace('http', 'ws') + '/ws/user/{user}';
  window.client = createClient({ url, getToken: () => 'cookie' });
  window.statuses = [];
  window.client.subscribe(() => window.statuses.push(window.client.getSnapshot().status));
  window.client.signIn('ada');
</script>`;

/** What the connect hook is asked. */
export interface Question {
  token: string | null;
  cookies: string | null;
  renewal: boolean;
}

/**
 * An application that makes no tokens: its sign-in is a cookie, and the server, which stands behind it under the same
 * origin, asks it who connects.
 */
export class CookieApplication {
  readonly asked: Question[] = [];
  /** How it answers: by the cookie, with a refusal, or with nothing that is one. */
  mood: 'by cookie' | 'refuses' | 'is broken' = 'by cookie';
  #tetherline = 0;

  private constructor(
    private readonly http: Server,
    private readonly folder: string,
    private readonly sockets = new Set<Socket>(),
    private child: ChildProcess | null = null,
  ) {}

  static async start(): Promise<CookieApplication> {
    const http = createServer();
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    const folder = await mkdtemp(join(tmpdir(), 'tetherline-cookies-'));
    const application = new CookieApplication(http, folder);
    await application.#serve();
    return application;
  }

  get origin(): string {
    return `http://localhost:${String((this.http.address() as AddressInfo).port)}`;
  }

  async dispose(): Promise<void> {
    if (this.child !== null) {
      const exited = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await exited;
    }
    for (const socket of this.sockets) socket.destroy();
    this.http.closeAllConnections();
    this.http.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #serve(): Promise<void> {
    this.http.on('request', (request, response) => void this.#answer(request, response));
    this.http.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      this.#pass(request, socket, head);
    });
    const hook = this.origin.replace('localhost', '127.0.0.1') + '/hook';
    const serve = ['serve', '--listen', '127.0.0.1:0', '--data', this.folder];
    const options = ['--allow-origin', this.origin, '--connect-hook-url', hook];
    this.child = spawn(BINARY, [...serve, ...options], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = (await once(this.child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    this.#tetherline = Number(/:(\d+)\s*$/.exec(line.toString())?.[1]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    if (path === '/hook') {
      let body = '';
      for await (const piece of request as AsyncIterable<Buffer>) body += piece.toString();
      this.#say(JSON.parse(body) as Question, response);
    } else if (path.startsWith('/ws/')) {
      const { headers } = request;
      const passed = ask({ host: '127.0.0.1', port: this.#tetherline, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      passed.on('error', () => response.destroy()).end();
    } else if (path.startsWith('/package/') && existsSync(file(path))) {
      response.setHeader('content-type', 'text/javascript');
      response.end(readFileSync(file(path)));
    } else {
      const cookie = 'session=s1; HttpOnly; SameSite=Lax';
      response.writeHead(200, { 'content-type': 'text/html', 'set-cookie': cookie });
      response.end(PAGE);
    }
  }

  #say(question: Question, response: ServerResponse): void {
    this.asked.push(question);
    const isAdas = question.cookies?.includes('session=s1') ?? false;
    const answer =
      this.mood === 'by cookie' && isAdas
        ? { user: 'ada', expires_in_ms: 8_000 }
        : { refuse: 'Nobody is signed in; sign in again.' };
    response.writeHead(this.mood === 'is broken' ? 500 : 200);
    response.end(JSON.stringify(answer));
  }

  /** As a proxy does it. */
  #pass(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const behind = connect(this.#tetherline, '127.0.0.1');
    this.sockets.add(socket).add(behind);
    const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/1.1`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      lines.push(`${String(request.rawHeaders[at])}: ${String(request.rawHeaders[at + 1])}`);
    }
    behind.write(`${lines.join('\r\n')}\r\n\r\n`);
    behind.write(head);
    behind.pipe(socket).pipe(behind);
    for (const side of [socket, behind]) {
      side.on('error', () => {
        socket.destroy();
        behind.destroy();
      });
    }
  }
}

function file(path: string): string {
  return join(PACKAGE, path.slice('/package/'.length));
}
