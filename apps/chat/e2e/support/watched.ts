import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import WebSocket from 'ws';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const BINARY = process.env['TETHERLINE_BIN'] ?? join(ROOT, 'target/debug/tetherline');

/** A `tetherline serve` with an admin listener, as whoever looks after it has one. */
export class WatchedServer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    /** Of the admin listener. */
    readonly admin: string,
    /** Of everybody else's. */
    readonly url: string,
    readonly key: string,
  ) {}

  static async start(): Promise<WatchedServer> {
    const folder = await mkdtemp(join(tmpdir(), 'tetherline-watched-'));
    const listeners = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
    const options = [...listeners, '--data', folder, '--log-format', 'text'];
    const child = spawn(BINARY, ['serve', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    const admin = new Promise<string>((resolve) => {
      child.stderr.on('data', (bytes: Buffer) => {
        log += bytes.toString();
        const said = /admin listening on (http:\/\/\S+)/.exec(log);
        if (said) resolve(said[1]!);
      });
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const url = /http:\/\/\S+/.exec(line.toString())![0];
    const key = (await readFile(join(folder, 'api.key'), 'utf8')).trim();
    return new WatchedServer(child, folder, await admin, url, key);
  }

  async publish(user: string, count: number): Promise<void> {
    const items = Array.from({ length: count }, (_, n) => ({ user, message: { type: 'note', n } }));
    const answer = await fetch(`${this.url}/v1/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.key}` },
      body: JSON.stringify(items),
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** A connection that has asked for everything, and acknowledges nothing. */
  async connect(user: string, device: string): Promise<WebSocket> {
    const asked = await fetch(`${this.url}/v1/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.key}` },
      body: JSON.stringify({ user }),
    });
    const { ticket } = (await asked.json()) as { ticket: string };
    const url = `${this.url.replace('http', 'ws')}/ws/user/${encodeURIComponent(user)}`;
    const socket = new WebSocket(`${url}?device=${device}&ticket=${ticket}`, 'tetherline.v1');
    await once(socket, 'open');
    socket.send('{"type":"get_pending"}');
    return socket;
  }

  async dispose(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
    await rm(this.folder, { recursive: true, force: true });
  }
}
