import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../../../..');
const BINARY = process.env['TETHERLINE_CHAT_BIN'] ?? join(ROOT, 'target/debug/tetherline-chat');
const WEB = process.env['TETHERLINE_CHAT_WEB'] ?? join(ROOT, 'apps/chat/web/dist');
const READY = /http:\/\/127\.0\.0\.1:(\d+)/;

export interface ChatOptions {
  /** Origins besides its own from which pages may connect. */
  allowOrigins?: string[];
  /** An OpenAI-compatible server; the built-in responder answers without one. */
  providerUrl?: string;
}

/** The chat application as a process of its own, on a free port, with a folder of its own. */
export class Chat {
  #process: ChildProcess | null = null;
  #port = 0;

  private constructor(
    private readonly folder: string,
    private readonly options: ChatOptions,
  ) {}

  static async prepare(options: ChatOptions = {}): Promise<Chat> {
    return new Chat(await mkdtemp(join(tmpdir(), 'tetherline-e2e-')), options);
  }

  get port(): number {
    return this.#port;
  }

  /** Starts it, the second time on the port that it had. */
  async start(): Promise<void> {
    const origins = (this.options.allowOrigins ?? []).flatMap((origin) => [
      '--allow-origin',
      origin,
    ]);
    const listen = ['--listen', `127.0.0.1:${String(this.#port)}`];
    const child = spawn(BINARY, [...listen, '--data', this.folder, '--web', WEB, ...origins], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#provider() },
    });
    this.#process = child;
    let log = '';
    child.stderr.on('data', (bytes: Buffer) => (log = (log + bytes.toString()).slice(-8_000)));
    for await (const line of createInterface({ input: child.stdout })) {
      const port = READY.exec(line)?.[1];
      if (port === undefined) continue;
      this.#port = Number(port);
      return;
    }
    throw new Error(`The chat server ended before it was ready:\n${log}`);
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async dispose(): Promise<void> {
    await this.#end('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  #provider(): Record<string, string | undefined> {
    const url = this.options.providerUrl;
    return url === undefined
      ? { OPENAI_BASE_URL: undefined, OPENAI_API_KEY: undefined, CHAT_MODEL: undefined }
      : { OPENAI_BASE_URL: url, OPENAI_API_KEY: 'e2e', CHAT_MODEL: 'scripted' };
  }
}
