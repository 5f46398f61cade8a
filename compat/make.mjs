// Records what one version says and keeps, for the versions after it:
//
//     node compat/make.mjs --server target/debug/tetherline --package packages/tetherline/dist \
//       --into compat/2026-11-26
//
// run on a checkout of that version, with its binary and its built package. compat/README.md says what
// comes of it.

import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { WebSocket, WebSocketServer } from 'ws';

const { values: options } = parseArgs({
  options: {
    server: { type: 'string' },
    package: { type: 'string' },
    into: { type: 'string' },
    only: { type: 'string' },
  },
});
const binary = resolve(options.server);
const { createClient } = await import(resolve(options.package, 'index.js'));
const { streamedMessages } = await import(resolve(options.package, 'streams/index.js'));

/** Secrets of nobody: they stand in the fixtures. */
const JWT_SECRET = 'compat-fixture-and-nobodys-jwt-secret-01';
const API_KEY = 'compat-fixture-and-nobodys-api-key-00001';
const PATIENCE_MS = 20_000;
/** Instead of the server's 30 s, so that a ping can be recorded. */
const HEARTBEAT_MS = 300;

async function until(what, look) {
  const started = Date.now();
  for (;;) {
    const seen = await look();
    if (seen) {
      return seen;
    }
    if (Date.now() - started > PATIENCE_MS) {
      throw new Error(`waited in vain for ${what}`);
    }
    await sleep(5);
  }
}

function token(user, seconds = 3600, secret = JWT_SECRET) {
  const now = Math.floor(Date.now() / 1000);
  const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, iat: now, exp: now + seconds })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** One version's server on a folder of its own. */
class Version {
  static async start(folder, more = []) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'jwt.secret'), `${JWT_SECRET}\n`);
    writeFileSync(join(folder, 'api.key'), `${API_KEY}\n`);
    const version = new Version();
    version.child = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--data', folder, ...more], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, RUST_LOG: 'error' },
    });
    for await (const line of createInterface({ input: version.child.stdout })) {
      version.url = line.replace('listening on ', '');
      return version;
    }
    throw new Error('the server did not start');
  }

  async stop(signal = 'SIGTERM') {
    const ended = new Promise((end) => this.child.once('exit', end));
    this.child.kill(signal);
    await ended;
  }

  async ask(method, path, body, headers = {}) {
    // Not `fetch`, which takes `%2E` for a step in the path.
    return await new Promise((answered, failed) => {
      const { hostname, port } = new URL(this.url);
      const all = { authorization: `Bearer ${API_KEY}`, ...headers };
      const asked = request({ hostname, port, method, path, headers: all }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (piece) => (text += piece));
        answer.on('end', () =>
          answered({ status: answer.statusCode, body: text === '' ? null : JSON.parse(text) }),
        );
      });
      asked.on('error', failed).end(body === undefined ? '' : JSON.stringify(body));
    });
  }
}

/** What stands behind the webhook. The tests play the same. */
async function application() {
  const busy = new Set();
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => {
      const { message } = JSON.parse(body);
      if (message.type === 'too_long') {
        response.writeHead(422, { 'content-type': 'application/json' });
        response.end('{"error":{"code":"too_long","message":"The question is too long."}}');
      } else if (message.type === 'busy' && !busy.has(`${message.id}3`)) {
        const times = [1, 2, 3].find((n) => !busy.has(`${message.id}${n}`));
        busy.add(`${message.id}${times}`);
        response.writeHead(503).end();
      } else {
        response.writeHead(204).end();
      }
    });
  });
  await new Promise((listens) => server.listen(0, '127.0.0.1', listens));
  return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => server.close() };
}

/** Between page and server: passes everything on, and writes down what it was. */
class Recorder {
  steps = [];
  sockets = [];
  heartbeatMs = undefined;
  holds = false;

  static async start(version) {
    const recorder = new Recorder();
    recorder.version = version;
    recorder.http = createServer((request, response) => void recorder.#probe(request, response));
    recorder.http.on('upgrade', (request, socket, head) => {
      void until('the release', () => !recorder.holds).then(() =>
        recorder.#upgrade(request, socket, head),
      );
    });
    await new Promise((listens) => recorder.http.listen(0, '127.0.0.1', listens));
    recorder.url = `http://127.0.0.1:${recorder.http.address().port}`;
    return recorder;
  }

  note(step) {
    this.steps.push(step);
  }

  /** A publisher's request: it does not come by here. */
  async asks(method, path, body, headers = {}) {
    const answer = await this.version.ask(method, path, body, headers);
    this.note({ http: { method, path, ...(body === undefined ? {} : { body }), headers }, answer });
    return answer.body;
  }

  async publishes(user, message, key) {
    const headers = key === undefined ? {} : { 'idempotency-key': key };
    return await this.asks('POST', `/v1/users/${user}/messages`, message, headers);
  }

  /** A step that is to have been recorded, of all those from `from` on. */
  async saw(what, matches, from = 0) {
    return await until(what, () => this.steps.slice(from).find(matches));
  }

  async server(type, number = 1) {
    const look = () => this.steps.filter((step) => step.server && step.frame.type === type);
    return await until(`${type} ${number}`, () => look()[number - 1]?.frame);
  }

  async page(type, number = 1) {
    const look = () => this.steps.filter((step) => step.page && step.frame.type === type);
    return await until(`${type} ${number} of the page`, () => look()[number - 1]?.frame);
  }

  async #probe(request, response) {
    const { authorization } = request.headers;
    const answer = await globalThis.fetch(this.version.url + request.url, {
      headers: { authorization },
    });
    const text = await answer.text();
    const headers = Object.fromEntries(answer.headers);
    delete headers.date;
    delete headers['content-length'];
    this.note({
      probe: request.url,
      answer: { status: answer.status, headers, body: JSON.parse(text) },
    });
    response.writeHead(answer.status, headers).end(text);
  }

  #upgrade(request, stream, head) {
    const protocols = (request.headers['sec-websocket-protocol'] ?? '')
      .split(/, */)
      .filter(Boolean);
    const { authorization } = request.headers;
    const upstream = new WebSocket(
      this.version.url.replace('http', 'ws') + request.url,
      protocols,
      authorization === undefined ? {} : { headers: { authorization } },
    );
    const number = this.sockets.length + 1;
    const offers = protocols.map((name) => name.replace(/^bearer\..*/s, 'bearer.{token}'));
    const opening = { open: number, path: request.url, protocols: offers };
    upstream.on('unexpected-response', (_, answer) => {
      this.note({ ...opening, open: 0, status: answer.statusCode });
      stream.end(`HTTP/1.1 ${answer.statusCode} No\r\nContent-Length: 0\r\n\r\n`);
    });
    upstream.on('error', () => {});
    upstream.on('upgrade', (answer) => {
      const selected = answer.headers['sec-websocket-protocol'];
      this.note({ ...opening, status: 101, selected });
      const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => selected });
      sockets.handleUpgrade(request, stream, head, (page) => this.#join(number, page, upstream));
    });
  }

  #join(number, page, upstream) {
    this.sockets.push(page);
    upstream.on('message', (data) => {
      const frame = JSON.parse(data);
      if (frame.type === 'connection_established' && this.heartbeatMs !== undefined) {
        frame.heartbeat_interval_ms = this.heartbeatMs;
      }
      this.note({ server: number, frame });
      page.send(JSON.stringify(frame));
    });
    page.on('message', (data) => {
      const frame = JSON.parse(data);
      const shown = frame.type === 'authenticate' ? { ...frame, token: '{token}' } : frame;
      this.note({ page: number, frame: shown });
      upstream.send(data.toString());
    });
    page.on('close', (code) => {
      if (upstream.readyState === WebSocket.OPEN) {
        this.note({ close: number, by: code === 1006 ? 'network' : 'page', code });
        upstream.close(code === 1006 ? 1000 : code);
      }
    });
    upstream.on('close', (code) => {
      if (page.readyState === WebSocket.OPEN) {
        this.note({ close: number, by: 'server', code });
        page.close(code);
      }
    });
  }

  /** The network goes away under the connection. */
  cut() {
    this.sockets.at(-1).terminate();
  }

  stop() {
    this.http.close();
    this.http.closeAllConnections();
  }
}

function opens(recorder, user, more = {}) {
  const client = createClient({
    url: recorder.url,
    getToken: () => token(user),
    WebSocket,
    debug: false,
    device: 'laptop',
    streams: streamedMessages(),
    ...more,
  });
  const seen = [];
  client.on({
    note: (message, meta) => void seen.push([message.n, meta.replayed]),
    message_generate: () => {},
  });
  client.signIn(user);
  return { client, seen };
}

const isSettled = async (promise) => await promise.catch((error) => ({ failed: error.code }));

const STORIES = {
  /** What waits, what comes, what is sent, a lost connection, a goodbye. */
  async messages(recorder) {
    await recorder.publishes('ann', { type: 'note', n: 1 }, 'k1');
    await recorder.publishes('ann', { type: 'note', n: 2 }, 'k2');
    await recorder.publishes('ann', { type: 'note', n: 2 }, 'k2');
    const { client, seen } = opens(recorder, 'ann');
    await recorder.server('pending_check_complete');
    await recorder.saw('an acknowledgement', (step) => step.page && step.frame.seq === 2);
    await recorder.publishes('ann', { type: 'note', n: 3 }, 'k3');
    await recorder.saw('another', (step) => step.page && step.frame.seq === 3);
    await recorder.asks('POST', '/v1/users/ann/messages?durable=false', { type: 'typing' });
    await recorder.server('typing');
    await client.send({ type: 'question', id: 'q1', text: 'Why?' });
    await isSettled(client.send({ type: 'too_long', id: 'q2', text: '…' }));
    await isSettled(client.send({ type: 'busy', id: 'q3' }));
    recorder.holds = true;
    recorder.cut();
    await until('the loss', () => !client.getSnapshot().isConnected);
    await recorder.publishes('ann', { type: 'note', n: 4 }, 'k4');
    const again = client.send({ type: 'question', id: 'q4', text: 'And?' });
    recorder.holds = false;
    await again;
    await until('the fourth', () => seen.length === 4);
    await recorder.saw('the last', (step) => step.page === 2 && step.frame.seq === 4);
    client.signOut();
    await recorder.saw('the goodbye', (step) => step.close === 2);
  },

  /** An answer that grows over a lost connection, one that is stopped, one stopped before it began. */
  async streams(recorder) {
    const at = '/v1/users/ann/streams';
    const { client } = opens(recorder, 'ann');
    await recorder.server('pending_check_complete');
    const opening = { message_uuid: 'a1', ref: 'q1', conversation_uuid: 'c1' };
    await recorder.asks('POST', at, opening);
    await recorder.asks('POST', `${at}/a1/1/text`, { text: 'Once 👍 ', offset: 0 });
    await recorder.server('message_delta');
    recorder.holds = true;
    recorder.cut();
    await until('the loss', () => !client.getSnapshot().isConnected);
    await recorder.asks('POST', `${at}/a1/1/text`, { text: 'upon a ', offset: 8 });
    recorder.holds = false;
    await recorder.server('message_delta', 2);
    await recorder.server('pending_check_complete', 2);
    await recorder.asks('POST', `${at}/a1/1/text`, { text: 'time', offset: 15 });
    await recorder.server('message_delta', 3);
    await recorder.asks('GET', `${at}/a1`);
    await recorder.asks('POST', `${at}/a1/1/finish`, { message: { role: 'assistant' } });
    await recorder.saw('its end', (step) => step.page === 2 && step.frame.seq === 1);
    await recorder.asks('POST', at, { message_uuid: 'a2' });
    await recorder.asks('POST', `${at}/a2/1/text`, { text: 'On and on' });
    await recorder.server('message_delta', 4);
    await client.stop({ message_uuid: 'a2' });
    await recorder.asks('POST', `${at}/a2/1/text`, { text: ' and on' });
    await recorder.asks('POST', `${at}/a2/1/finish`);
    await recorder.saw('its end', (step) => step.page === 2 && step.frame.seq === 2);
    await client.stop({ ref: 'q3' });
    await isSettled(client.stop({ message_uuid: 'unknown' }));
    await recorder.asks('POST', at, { message_uuid: 'a3', ref: 'q3' });
    await recorder.asks('DELETE', `${at}/a3/1`);
    await recorder.saw('its end', (step) => step.page === 2 && step.frame.seq === 3);
    client.signOut();
    await recorder.saw('the goodbye', (step) => step.close === 2);
  },

  /** A page that was away while its messages were trimmed, and then while its user was erased. */
  async gaps(recorder) {
    const { client } = opens(recorder, 'ann');
    await recorder.publishes('ann', { type: 'note', n: 1 });
    await recorder.saw('an acknowledgement', (step) => step.page && step.frame.seq === 1);
    recorder.holds = true;
    recorder.cut();
    await until('the loss', () => !client.getSnapshot().isConnected);
    for (let n = 2; n <= 8; n += 1) {
      await recorder.publishes('ann', { type: 'note', n });
    }
    await recorder.trimmed('ann', 5);
    recorder.holds = false;
    await recorder.saw('an acknowledgement', (step) => step.page === 2 && step.frame.seq === 8);
    await recorder.asks('DELETE', '/v1/users/ann');
    await recorder.saw('its end', (step) => step.close === 2);
    await recorder.server('pending_check_complete', 3);
    await recorder.publishes('ann', { type: 'note', n: 9 });
    await recorder.saw('an acknowledgement', (step) => step.page === 3 && step.frame.seq === 9);
    client.signOut();
    await recorder.saw('the goodbye', (step) => step.close === 3);
  },

  /** A renewal, a token of somebody else's, one that is refused, and refused again. */
  async identity(recorder) {
    const { client } = opens(recorder, 'ann', { getToken: () => token('ann', 8) });
    await recorder.page('authenticate');
    await client.send({ type: 'question', id: 'q1' });
    client.signOut();
    await recorder.saw('the goodbye', (step) => step.close === 1);
    const refused = { getToken: () => token('ann', 3600, 'a secret of somebody else, 32 bytes') };
    const stranger = opens(recorder, 'ann', refused).client;
    await until('the refusal', () => stranger.getSnapshot().status === 'refused');
    const other = opens(recorder, 'ann', { getToken: () => token('bob') }).client;
    await until('the refusal', () => other.getSnapshot().status === 'refused');
    stranger.destroy();
    other.destroy();
  },

  /** A ping, and a server that is stopped. */
  async liveness(recorder) {
    recorder.heartbeatMs = HEARTBEAT_MS;
    const { client } = opens(recorder, 'ann');
    await recorder.server('pong');
    client.signOut();
    await recorder.saw('the goodbye', (step) => step.close === 1);
    recorder.heartbeatMs = undefined;
    const stays = opens(recorder, 'ann').client;
    await recorder.server('pending_check_complete', 2);
    recorder.holds = true;
    recorder.note({ stops: true });
    await recorder.version.stop();
    await recorder.saw('the restart', (step) => step.close === 2);
    stays.destroy();
  },

  /** The native client, as `tetherline tail --stream` has it. */
  async native(recorder) {
    await recorder.publishes('ann', { type: 'note', n: 1 });
    const at = '/v1/users/ann/streams';
    const tail = spawn(
      binary,
      ['tail', '--url', recorder.url, '--token', token('ann'), '--device', 'shell', '--stream'],
      { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, RUST_LOG: 'error' } },
    );
    await recorder.server('pending_check_complete');
    await recorder.asks('POST', at, { message_uuid: 'a1' });
    await recorder.asks('POST', `${at}/a1/1/text`, { text: 'Hemp ', offset: 0 });
    await recorder.server('message_delta');
    recorder.holds = true;
    recorder.cut();
    await recorder.asks('POST', `${at}/a1/1/text`, { text: 'and sisal', offset: 5 });
    recorder.holds = false;
    await recorder.server('message_delta', 2);
    await recorder.server('pending_check_complete', 2);
    await recorder.asks('POST', `${at}/a1/1/finish`);
    await recorder.saw('its end', (step) => step.page === 2 && step.frame.seq === 2);
    tail.kill('SIGTERM');
    await recorder.saw('the goodbye', (step) => step.close === 2);
  },
};

/** Waits until nothing of a user before this position is kept, and says so to whoever plays this. */
Recorder.prototype.trimmed = async function trimmed(user, next) {
  await until('the trimming', async () => {
    const socket = new WebSocket(`${this.version.url.replace('http', 'ws')}/ws/user/${user}`, [
      'tetherline.v1',
      `bearer.${token(user)}`,
    ]);
    const first = await new Promise((seen) => {
      socket.on('message', (data) => {
        const frame = JSON.parse(data);
        if (frame.type === 'connection_established') {
          socket.send('{"type":"get_pending","after":0}');
        } else {
          seen(frame);
        }
      });
    });
    socket.terminate();
    return first.type === 'mailbox_gap' && first.next === next;
  });
  this.note({ trimmed: user, next });
};

/** The options of the server that a story needs. */
const SERVED = { gaps: ['--retention-messages', '4'] };

async function record(name) {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  const behind = await application();
  const more = ['--webhook-url', behind.url, ...(SERVED[name] ?? [])];
  const version = await Version.start(folder, more);
  const recorder = await Recorder.start(version);
  recorder.note({ story: name, serve: SERVED[name] ?? [] });
  await STORIES[name](recorder);
  recorder.stop();
  if (version.child.exitCode === null) {
    await version.stop();
  }
  behind.stop();
  const lines = recorder.steps.map((step) => `${JSON.stringify(step)}\n`);
  writeFileSync(join(options.into, `${name}.jsonl`), lines.join(''));
  rmSync(folder, { recursive: true });
}

/** A data folder with something of everything in it. */
async function folder() {
  const at = mkdtempSync(join(tmpdir(), 'compat-'));
  const behind = await application();
  const version = await Version.start(at, ['--webhook-url', behind.url]);
  const kept = { made_at_ms: Date.now(), users: {} };
  const must = async (status, ...request) => {
    const answer = await version.ask(...request);
    if (answer.status !== status) {
      throw new Error(`${request.slice(0, 2).join(' ')}: ${JSON.stringify(answer)}`);
    }
    return answer.body;
  };
  const publish = async (user, message, key) => {
    const path = `/v1/users/${user.replace(/^\.+$/, (dots) => '%2E'.repeat(dots.length))}/messages`;
    const receipt = await must(201, 'POST', path, message, { 'idempotency-key': key });
    kept.users[user] ??= { messages: [], devices: {}, outcomes: [] };
    kept.users[user].messages.push({ key, message, ...receipt });
  };
  for (const n of [1, 2, 3, 4, 5]) {
    await publish('ann', { type: 'note', n, text: 'Grüße, 漢字 and 👍' }, `k${n}`);
  }
  await publish('bob', { type: 'note', n: 1 }, 'k1');
  for (const odd of ['.', '..', 'a.b~c_D-9']) {
    await publish(odd, { type: 'note', n: 1 }, 'k1');
  }
  await publish('gone', { type: 'note', n: 1, secret: 'of somebody who was erased' }, 'k1');
  await must(204, 'DELETE', '/v1/users/gone');
  kept.users.gone = { erased: true };

  // Two devices that stand at different places, and sends with both outcomes.
  const page = async (user, device, cursor, frames = []) => {
    const socket = new WebSocket(
      `${version.url.replace('http', 'ws')}/ws/user/${user}?device=${device}`,
      ['tetherline.v1', `bearer.${token(user)}`],
    );
    const seen = [];
    socket.on('message', (data) => seen.push(JSON.parse(data)));
    const send = (frame) => socket.send(JSON.stringify(frame));
    await until('the connection', () => seen[0]);
    kept.epoch ??= seen[0].epoch;
    send({ type: 'get_pending', after: 0 });
    await until('what waits', () => seen.some((frame) => frame.type === 'pending_check_complete'));
    send({ type: 'ack', seq: cursor });
    frames.forEach(send);
    for (const { id } of frames) {
      await until('an outcome', () => seen.find((frame) => frame.ref === id));
    }
    socket.close(1000);
    await until('the goodbye', () => socket.readyState === WebSocket.CLOSED);
    kept.users[user].devices[device] = cursor;
    kept.users[user].outcomes.push(...seen.filter((frame) => frame.ref));
  };
  // Who is new begins where another device has got to: the one that is behind comes first.
  await page('ann', 'phone', 2);
  await page('ann', 'laptop', 4, [
    { type: 'question', id: 'q1' },
    { type: 'too_long', id: 'q2' },
  ]);
  await page('bob', 'laptop', 1);

  const at1 = '/v1/users/ann/streams';
  await must(201, 'POST', at1, { message_uuid: 'done', ref: 'q1', conversation_uuid: 'c1' });
  await must(200, 'POST', `${at1}/done/1/text`, { text: 'All of it 👍' });
  kept.finished = await must(200, 'POST', `${at1}/done/1/finish`, {
    message: { role: 'assistant' },
  });
  await must(201, 'POST', at1, { message_uuid: 'open', ref: 'q9' });
  await must(200, 'POST', `${at1}/open/1/text`, { text: 'Half of ' });
  await must(200, 'POST', `${at1}/open/1/text`, { text: 'it', offset: 8 });
  kept.open = await must(200, 'GET', `${at1}/open`);
  await version.stop();
  behind.stop();

  // What waits in the log is put into the file, so that this is one small file.
  const file = join(at, 'mailbox.db');
  const put =
    'import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")';
  execFileSync('python3', ['-c', put, file]);
  const into = join(options.into, 'folder');
  mkdirSync(into, { recursive: true });
  for (const name of ['mailbox.db', 'jwt.secret', 'api.key']) {
    copyFileSync(join(at, name), join(into, name));
  }
  writeFileSync(join(options.into, 'folder.json'), `${JSON.stringify(kept, null, 1)}\n`);
  rmSync(at, { recursive: true });
}

mkdirSync(options.into, { recursive: true });
for (const name of Object.keys(STORIES)) {
  if (!options.only || options.only === name) {
    console.log(name);
    await record(name);
  }
}
if (!options.only || options.only === 'folder') {
  await folder();
}
process.exit(0);
