import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const BINARY = process.env['TETHERLINE_BIN'] ?? join(ROOT, 'target/debug/tetherline');
const PREFIX = '/realtime';

const page = (token: string): string => `<script type="module">
  import { createClient } from '/package/index.js';
  const url = location.origin.replace('https', 'wss') + '${PREFIX}';
  window.client = createClient({ url, getToken: () => '${token}' });
  window.notes = [];
  window.client.on({ note: (message) => window.notes.push(message.n) });
  window.client.signIn('ada');
</script>`;

/** A server with `--path-prefix` behind the nginx of the documents, with TLS, beside a page of the same site. */
export class PrefixedSite {
  private constructor(
    private readonly folder: string,
    private readonly children: ChildProcess[],
    readonly origin: string,
    /** The server itself. */
    private readonly direct: string,
    private readonly key: string,
  ) {}

  static async start(): Promise<PrefixedSite> {
    const folder = await mkdtemp(join(tmpdir(), 'tetherline-prefix-'));
    const port = await freePort();
    const origin = `https://localhost:${String(port)}`;
    const serve = ['serve', '--listen', '127.0.0.1:0', '--data', folder];
    const options = ['--path-prefix', PREFIX, '--allow-origin', origin];
    const server = spawn(BINARY, [...serve, ...options], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = (await once(server.stdout, 'data')) as [Buffer];
    const direct = /http:\/\/\S+/.exec(line.toString())![0];
    const file = (name: string): string => join(folder, name);
    const token = ['token', '--jwt-secret-file', file('jwt.secret'), '--user', 'ada'];
    const signed = execFileSync(BINARY, token).toString().trim();
    await writeFile(file('index.html'), page(signed));
    await symlink(join(ROOT, 'packages/tetherline/dist'), file('package'));
    certify(file('cert.pem'), file('key.pem'));
    await writeFile(file('nginx.conf'), await configuration(folder, port, direct));
    const nginx = spawn('nginx', ['-p', folder, '-c', file('nginx.conf')], {
      // Debian has it where only an administrator looks.
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
      stdio: 'inherit',
    });
    await untilItListens(port);
    const key = (await readFile(file('api.key'), 'utf8')).trim();
    return new PrefixedSite(folder, [server, nginx], origin, direct, key);
  }

  async publish(n: number): Promise<void> {
    const answer = await fetch(`${this.direct}${PREFIX}/v1/users/ada/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.key}` },
      body: JSON.stringify({ type: 'note', n }),
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async dispose(): Promise<void> {
    for (const child of this.children) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** That of the documents, for one more path of a site that has a page, and with the certificate that they leave out. */
async function configuration(folder: string, port: number, server: string): Promise<string> {
  const site = [
    `listen ${String(port)} ssl;`,
    `ssl_certificate ${folder}/cert.pem;`,
    `ssl_certificate_key ${folder}/key.pem;`,
    `location / { root ${folder}; }`,
  ];
  let text = await readFile(join(ROOT, 'docs/proxies/nginx.conf'), 'utf8');
  for (const [from, to] of [
    ['listen 80;', site.join('\n')],
    ['location / {\n        # Nothing', `location ${PREFIX}/ {\n        # Nothing`],
    ['127.0.0.1:8080', server.replace('http://', '')],
  ] as const) {
    if (!text.includes(from)) throw new Error(`docs/proxies/nginx.conf has no ${from}`);
    text = text.replace(from, to);
  }
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = paths.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n');
  return `daemon off; pid ${folder}/pid; error_log stderr crit; user root; events {}
http { types { text/html html; text/javascript js; }
${temporary}
${text}
}`;
}

function certify(certificate: string, key: string): void {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, ...files], { stdio: 'ignore' });
}

async function freePort(): Promise<number> {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  taken.close();
  await once(taken, 'close');
  return port;
}

async function untilItListens(port: number): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise<boolean>((resolve) => {
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    });
    socket.destroy();
    if (isThere) return;
    if (Date.now() > deadline) throw new Error('nginx does not listen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
