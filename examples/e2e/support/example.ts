import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';

import { expect } from '@playwright/test';

import { Network } from '../../../apps/chat/e2e/support/network.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const BINARY = process.env['TETHERLINE_BIN'] ?? join(ROOT, 'target/debug/tetherline');
const BLOCK = /^```sh run background\n([^]*?)^```$/gm;

/**
 * An example and its `tetherline serve`, started by the commands of its README. Only addresses and
 * the data folder are others, and between pages and `tetherline` there is a network to cut.
 */
export class Example {
  private constructor(
    readonly folder: string,
    readonly origin: string,
    readonly network: Network,
    private readonly server: string,
    private readonly data: string,
    private readonly processes: ChildProcess[],
  ) {}

  static async start(folder: string, readme: string): Promise<Example> {
    const examples = process.env['TETHERLINE_EXAMPLES'];
    if (examples === undefined) throw new Error('Run `cargo xtask test --only examples`.');
    const text = await readFile(join(ROOT, 'examples', readme, 'README.md'), 'utf8');
    const [serve, start] = [...text.matchAll(BLOCK)].map(([, block]) => block);
    if (serve === undefined || start === undefined) throw new Error('The README starts nothing.');

    const network = await Network.open();
    const data = await mkdtemp(join(tmpdir(), 'tetherline-example-'));
    const [port, server] = [await freePort(), await freePort()];
    network.leadTo(server);
    const origin = `http://127.0.0.1:${port}`;
    const serverUrl = `http://127.0.0.1:${server}`;
    const processes: ChildProcess[] = [];
    const cwd = join(examples, folder);
    const example = new Example(cwd, origin, network, serverUrl, data, processes);

    const own = serve.replaceAll('./mailbox', data).replaceAll('3000', String(port));
    processes.push(run(own.replaceAll('8400', String(server)), cwd));
    await answers(`${serverUrl}/ws/user/anybody`);
    const app = start.replaceAll('./mailbox', data).replaceAll('3000', String(port));
    processes.push(run(app.replaceAll('http://127.0.0.1:8400', network.origin), cwd));
    await answers(origin);
    return example;
  }

  /** As a backend does it, past the network that a test can cut. */
  async publish(user: string, message: object): Promise<void> {
    const key = (await readFile(join(this.data, 'api.key'), 'utf8')).trim();
    const response = await fetch(`${this.server}/v1/users/${user}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'idempotency-key': randomUUID() },
      body: JSON.stringify(message),
    });
    expect(response.status).toBe(201);
  }

  async dispose(): Promise<void> {
    for (const child of this.processes.reverse()) {
      if (child.exitCode !== null || child.pid === undefined) continue;
      const exited = once(child, 'exit');
      // The whole group: a shell passes nothing on to what it started.
      process.kill(-child.pid, 'SIGTERM');
      await exited;
    }
    await this.network.cut();
    await rm(this.data, { recursive: true, force: true });
  }
}

function run(commands: string, cwd: string): ChildProcess {
  const PATH = [dirname(BINARY), process.env['PATH']].join(delimiter);
  return spawn('bash', ['-euc', commands], {
    cwd,
    detached: true,
    env: { ...process.env, PATH },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Waits until something listens there, whatever it says. */
async function answers(url: string): Promise<void> {
  await expect(async () => {
    await (await fetch(url)).arrayBuffer();
  }).toPass({ intervals: [100], timeout: 30_000 });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
