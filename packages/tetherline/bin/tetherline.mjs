#!/usr/bin/env node
// Starts the server that belongs to this machine: `npx tetherline serve`. The binary is in a package of its own for each
// platform, of which npm installs the one that fits.
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { clearInterval, setInterval } from 'node:timers';

const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64'];
/** As shells say it of a program that cannot be started. */
const CANNOT_START = 126;
const NOT_FOUND = 127;
/** How often it is looked whether npx is still there. */
const PARENT_CHECK_MS = 500;
/** Whoever says one of these to the launcher means the server. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const platform = `${process.platform}-${process.arch}`;
const binary = find();
if (binary) {
  start(binary);
}

function find() {
  const name = `@tetherline/server-${platform}`;
  const file = process.platform === 'win32' ? 'tetherline.exe' : 'tetherline';
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/${file}`);
  } catch {
    process.exitCode = NOT_FOUND;
    console.error(
      PLATFORMS.includes(platform)
        ? `tetherline: ${name}, which has the server for this machine, is not installed: install tetherline with its optional dependencies (without --omit=optional or --no-optional), or put the binary there from a release.`
        : `tetherline: there is no server for ${platform}: run it on another machine or in Docker, or build it with \`cargo install --path crates/cli\`.`,
    );
    return undefined;
  }
}

function start(file) {
  let server = run(file);
  server.on('error', (error) => {
    // Some archives and file systems forget that it is a program.
    if (error.code === 'EACCES' && makeExecutable(file)) {
      server = run(file).on('error', refuse);
    } else {
      refuse(error);
    }
  });
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      // A terminal says Ctrl-C to both. A second signal would end the server at once.
      if (!(signal === 'SIGINT' && process.stdin.isTTY)) {
        server.kill(signal);
      }
    });
  }

  if (process.env.npm_command === 'exec') {
    whenParentEnds(() => server.kill('SIGTERM'));
  }

  function refuse(error) {
    process.exitCode = CANNOT_START;
    console.error(`tetherline: cannot start ${file}: ${error.message}`);
  }
}

/**
 * npx that is told to end (SIGTERM) tells only the shell between, and that passes nothing on: the server would go on with
 * its port and its folder, and be nobody's.
 */
function whenParentEnds(act) {
  const parent = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(looking);
      act();
    }
  }, PARENT_CHECK_MS);
  looking.unref();
}

function run(file) {
  const server = spawn(file, process.argv.slice(2), { stdio: 'inherit' });
  server.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
  return server;
}

function makeExecutable(file) {
  try {
    chmodSync(file, 0o755);
    return true;
  } catch {
    return false;
  }
}
