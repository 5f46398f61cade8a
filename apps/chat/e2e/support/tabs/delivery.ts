import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { build } from 'esbuild';

const ROOT = resolve(import.meta.dirname, '../../../../..');
const BINARY = process.env['TETHERLINE_BIN'] ?? join(ROOT, 'target/debug/tetherline');
const READY = /http:\/\/127\.0\.0\.1:(\d+)/;
const page = (script: string) =>
  `<!doctype html><title>A tab</title><script type="module" src="${script}"></script>`;

/** The page as it was built on the package of before: `compat/README.md`. */
const BEFORE = join(ROOT, 'compat/2026-11-30/page.js');

/** How many publishes are under way at once: so many the server commits together. */
const PUBLISHERS = 200;

/**
 * The delivery server as a process of its own, and beside it what an application has: the page, its
 * tokens, and a webhook that takes what is sent.
 */
export class Delivery {
  /** Ids of sends, in the order in which the webhook got them. */
  readonly taken: string[] = [];
  /** What tokens are signed with, if not with the secret that the server has. */
  otherSecret: string | undefined;
  readonly #http: Server;
  readonly #folder: string;
  #process: ChildProcess | null = null;
  #port = 0;
  #key: string | undefined;
  readonly #scripts = new Map<string, string>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#http = createServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://application');
      if (request.method === 'POST') {
        this.taken.push(String(request.headers['idempotency-key']).split('/').at(-1) ?? '');
        request.resume().on('end', () => response.end());
      } else if (url.pathname === '/token') {
        void this.#token(url.searchParams.get('user') ?? '').then((token) => response.end(token));
      } else {
        const script = this.#scripts.get(url.pathname);
        response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
        response.end(script ?? this.#html(url));
      }
    });
  }

  static async open(): Promise<Delivery> {
    const delivery = new Delivery(await mkdtemp(join(tmpdir(), 'tetherline-e2e-')));
    delivery.#http.listen(0, '127.0.0.1');
    await once(delivery.#http, 'listening');
    delivery.#scripts.set('/page.js', await bundled('page.ts'));
    delivery.#scripts.set('/activity.js', await bundled('activity.tsx'));
    delivery.#scripts.set('/before.js', await readFile(BEFORE, 'utf8'));
    await delivery.#start();
    return delivery;
  }

  /** Of the delivery server. */
  get port(): number {
    return this.#port;
  }

  /** Where the page is. */
  get application(): string {
    return `http://127.0.0.1:${String((this.#http.address() as AddressInfo).port)}`;
  }

  /** The same place by another name: a page there and one here are of two sites. */
  get elsewhere(): string {
    return this.application.replace('127.0.0.1', 'localhost');
  }

  /** Where a tab of this user is. */
  tab(user: string, options: Record<string, string> = {}): string {
    const server = `ws://127.0.0.1:${String(this.#port)}`;
    return `${this.application}/?${String(new URLSearchParams({ server, user, ...options }))}`;
  }

  /** A page of another site, in which that one is a frame. */
  frameOf(tab: string): string {
    return `${this.elsewhere}/frame?${String(new URLSearchParams({ of: tab }))}`;
  }

  /** Publishes so many messages, as fast as it goes. Answers their ids in the order of the mailbox. */
  async publish(user: string, count: number): Promise<string[]> {
    const ids = new Map<number, string>();
    let left = count;
    const publisher = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const news = { type: 'news', text: 'x'.repeat(100) };
        const { id, seq } = await this.#post<{ id: string; seq: number }>(user, 'messages', news);
        ids.set(seq, id);
      }
    };
    await Promise.all(Array.from({ length: PUBLISHERS }, publisher));
    return [...ids].sort(([a], [b]) => a - b).map(([, id]) => id);
  }

  /** Begins an answer. Returns how text is added to it. */
  async answer(user: string, uuid: string): Promise<(text: string) => Promise<void>> {
    await this.#post(user, 'streams', { type: 'answer', message_uuid: uuid });
    return async (text) => {
      await this.#post(user, `streams/${uuid}/1/text`, { text });
    };
  }

  async dispose(): Promise<void> {
    this.#http.closeAllConnections();
    this.#http.close();
    const child = this.#process;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  #html({ pathname, searchParams }: URL): string {
    if (pathname === '/frame') {
      return `<!doctype html><title>Another site</title><iframe id="tab"></iframe>
        <script>document.querySelector('iframe').src =
          new URLSearchParams(location.search).get('of')</script>`;
    }
    if (pathname === '/activity') return page('/activity.js');
    return page(searchParams.has('before') ? '/before.js' : '/page.js');
  }

  async #post<Answer>(user: string, path: string, body: object): Promise<Answer> {
    this.#key ??= (await readFile(join(this.#folder, 'api.key'), 'utf8')).trim();
    const answer = await fetch(`http://127.0.0.1:${String(this.#port)}/v1/users/${user}/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as Answer;
  }

  async #start(): Promise<void> {
    const child = spawn(
      BINARY,
      ['serve', '--listen', '127.0.0.1:0', '--data', this.#folder].concat([
        '--webhook-url',
        `${this.application}/sends`,
        '--allow-origin',
        this.application,
      ]),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#process = child;
    let log = '';
    child.stderr.on('data', (bytes: Buffer) => (log = (log + bytes.toString()).slice(-8_000)));
    for await (const line of createInterface({ input: child.stdout })) {
      const port = READY.exec(line)?.[1];
      if (port === undefined) continue;
      this.#port = Number(port);
      return;
    }
    throw new Error(`The delivery server ended before it was ready:\n${log}`);
  }

  async #token(user: string): Promise<string> {
    const secret = join(
      this.#folder,
      this.otherSecret === undefined ? 'jwt.secret' : 'other.secret',
    );
    if (this.otherSecret !== undefined) await writeFile(secret, this.otherSecret, { mode: 0o600 });
    const { stdout } = await promisify(execFile)(BINARY, [
      ...['token', '--jwt-secret-file', secret, '--user', user],
    ]);
    return stdout.trim();
  }
}

async function bundled(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, entry)],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    logOverride: { 'ignored-directive': 'silent' },
  });
  return outputFiles[0]!.text;
}
