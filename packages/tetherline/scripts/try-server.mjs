// The packed archives in TETHERLINE_PACKAGES, as somebody has them who installs them: `cargo xtask test --only packages`.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';

const packed = process.env.TETHERLINE_PACKAGES;
const archives = readdirSync(packed).filter((name) => name.endsWith('.tgz'));
const library = archive(/^tetherline-\d/);
const server = archive(/^tetherline-server-/);
const home = mkdtempSync(join(tmpdir(), 'tetherline-npm-'));
const RECEIVES = `
import { createClient } from 'tetherline';
const [url, user, token] = process.argv.slice(2);
const client = createClient({ url, getToken: () => token });
client.on({ note: (message) => { console.log(message.text); client.signOut(); process.exit(0); } });
client.signIn(user);
`;

after(() => rmSync(home, { recursive: true }));

test('what npm installs serves, delivers what npx tetherline publishes, and ends as it is told', async () => {
  const project = install('with', [library, server]);
  const launcher = serve(launcherIn(project), project);
  try {
    const line = await firstLine(launcher.stdout);
    const url = line.replace('listening on ', '');
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const run = (...args) =>
      execFileSync('npx', ['--no-install', 'tetherline', ...args], {
        cwd: project,
        encoding: 'utf8',
      });
    run('health', '--url', url);
    const api = ['--url', url, '--api-key-file', 'd/api.key'];
    run('publish', ...api, '--user', 'ada', '--type', 'note', '{"text":"for Ada"}');
    const token = run('token', '--user', 'ada', '--jwt-secret-file', 'd/jwt.secret').trim();
    writeFileSync(join(project, 'receive.mjs'), RECEIVES);
    // Node 20 has a WebSocket if it is asked for one.
    const received = execFileSync(
      process.execPath,
      ['--experimental-websocket', 'receive.mjs', url.replace('http', 'ws'), 'ada', token],
      { cwd: project, encoding: 'utf8', timeout: 30_000 },
    );
    // Among what the library says to the console.
    assert.match(received, /^for Ada$/m);
    const ended = end(launcher);
    launcher.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    // It has drained: the folder is another's now.
    run('check', '--data', 'd');
  } finally {
    endGroup(launcher.pid);
  }
});

test('the launcher hands on an interrupt that no terminal has sent, and ends with what the server ends with', async () => {
  const project = join(home, 'with');
  const launcher = serve(launcherIn(project), project);
  try {
    await firstLine(launcher.stdout);
    const ended = end(launcher);
    launcher.kill('SIGINT');
    assert.deepEqual(await ended, [0, null]);
  } finally {
    endGroup(launcher.pid);
  }
});

// The server went on, with its port and its folder, when nobody was left who had started it.
test('npx that is told to end takes the server along, although it passes no signal on', async () => {
  const project = join(home, 'with');
  const npx = serve('npx', project, '--no-install', 'tetherline');
  try {
    await firstLine(npx.stdout);
    const served = new Promise((resolve) => npx.on('close', resolve));
    npx.kill('SIGTERM');
    // It ends before the server; what the two wrote to is closed by the last of them.
    await served;
    execFileSync(launcherIn(project), ['check', '--data', 'd'], { cwd: project });
  } finally {
    endGroup(npx.pid);
  }
});

test('what the server ends with is what the launcher ends with', () => {
  const project = join(home, 'with');
  const launch = (...args) =>
    spawnSync(launcherIn(project), args, { cwd: project, encoding: 'utf8' });
  assert.equal(launch('--version').status, 0);
  assert.equal(launch('nothing-of-the-kind').status, 2);
  assert.equal(launch('health', '--url', 'http://127.0.0.1:1').status, 1);
});

test('where the platform has no package the library is installed all the same, and the launcher says what to do', () => {
  const project = install('without', [library]);
  const { status, stderr } = spawnSync(launcherIn(project), ['serve'], { encoding: 'utf8' });
  assert.equal(status, 127);
  assert.match(
    stderr,
    /^tetherline: @tetherline\/server-.* is not installed: .*optional dependencies.*\n$/,
  );
  const imports =
    "import('tetherline').then(({ createClient }) => console.log(typeof createClient))";
  const said = execFileSync(process.execPath, ['-e', imports], { cwd: project, encoding: 'utf8' });
  assert.equal(said, 'function\n');
});

test('npm has a package only for the machine that it is for', () => {
  const [name] = readdirSync(join(home, 'with/node_modules/@tetherline'));
  const installed = join(home, 'with/node_modules/@tetherline', name, 'package.json');
  const { os, cpu } = JSON.parse(readFileSync(installed, 'utf8'));
  assert.deepEqual([os, cpu], [[process.platform], [process.arch]]);
});

test('whoever installs it globally has the command and its manual pages', () => {
  const prefix = join(home, 'global');
  const where = ['--global', '--prefix', prefix];
  npm('install', ...where, library, server);
  const said = execFileSync(join(prefix, 'bin/tetherline'), ['--version'], { encoding: 'utf8' });
  assert.match(said, /^tetherline \d/);
  assert.match(
    readFileSync(join(prefix, 'share/man/man1/tetherline-serve.1'), 'utf8'),
    /retention/,
  );
});

/** In a group of its own, for the end. */
function serve(program, project, ...before) {
  const args = [...before, 'serve', '--data', 'd', '--listen', '127.0.0.1:0'];
  const how = { cwd: project, stdio: ['ignore', 'pipe', 'inherit'], detached: true };
  return spawn(program, args, how);
}

function end(launcher) {
  return new Promise((resolve) => launcher.on('exit', (...how) => resolve(how)));
}

/** The launcher and the server, whatever of them is left. */
function endGroup(id) {
  try {
    process.kill(-id, 'SIGKILL');
  } catch {
    // All have ended.
  }
}

/** A registry that nobody answers at is one that does not have the optional packages. */
function install(name, files) {
  const project = join(home, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"private":true}\n');
  npm('install', '--prefix', project, ...files);
  return project;
}

function npm(...args) {
  const quiet = ['--no-audit', '--no-fund', '--fetch-retries=0', '--silent'];
  const nowhere = '--registry=http://127.0.0.1:1';
  const leaveOut = '--legacy-peer-deps';
  execFileSync('npm', [...args, ...quiet, nowhere, leaveOut], { cwd: home, stdio: 'inherit' });
}

function archive(pattern) {
  const name = archives.find((name) => pattern.test(name));
  assert.ok(name, `${pattern} is not in ${packed}`);
  return join(packed, name);
}

function launcherIn(project) {
  return join(project, 'node_modules/.bin/tetherline');
}

function firstLine(stream) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: stream });
    lines.once('line', resolve);
    lines.once('close', () => reject(new Error('the server ended before it listened')));
  });
}
