// Packs what `npx tetherline serve` needs: node scripts/pack-server.mjs TO PAPERS [linux-x64=BINARY …]
// PAPERS/man has the manual pages, which npm puts in place for whoever installs the package globally.
// One package with a binary for each platform that is named, and `tetherline` itself with all platforms as optional
// dependencies. They are added here and not in package.json: a checkout would ask the registry for them, which does
// not have them before they are published.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { folder, manifest } from './entries.mjs';

const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64'];

const [to, papers, ...binaries] = process.argv.slice(2);
const output = resolve(to);
mkdirSync(output, { recursive: true });
const stage = mkdtempSync(join(output, '.npm-'));
try {
  for (const argument of binaries) {
    const at = argument.indexOf('=');
    platformPackage(argument.slice(0, at), argument.slice(at + 1));
  }
  library();
} finally {
  rmSync(stage, { recursive: true });
}

function platformPackage(platform, binary) {
  if (!PLATFORMS.includes(platform)) {
    throw new Error(`${platform} is none of ${PLATFORMS.join(', ')}`);
  }
  const [os, cpu] = platform.split('-');
  const staged = join(stage, platform);
  const program = os === 'win32' ? 'tetherline.exe' : 'tetherline';
  mkdirSync(join(staged, 'bin'), { recursive: true });
  copyFileSync(binary, join(staged, 'bin', program));
  chmodSync(join(staged, 'bin', program), 0o755);
  licences(staged);
  writeFileSync(
    join(staged, 'README.md'),
    `# ${nameOf(platform)}\n\nThe server of [tetherline](https://www.npmjs.com/package/tetherline) for ${os} on ${cpu}. Install \`tetherline\` instead, and start it with \`npx tetherline serve\`.\n`,
  );
  pack(staged, {
    name: nameOf(platform),
    version: manifest.version,
    description: `The server of tetherline for ${os} on ${cpu}.`,
    license: manifest.license,
    os: [os],
    cpu: [cpu],
    preferUnplugged: true,
    files: ['bin'],
  });
}

function library() {
  const staged = join(stage, 'tetherline');
  mkdirSync(staged);
  for (const name of manifest.files) {
    cpSync(join(folder, name), join(staged, name), { recursive: true });
  }
  const optionalDependencies = Object.fromEntries(
    PLATFORMS.map((platform) => [nameOf(platform), manifest.version]),
  );
  cpSync(join(papers, 'man'), join(staged, 'man'), { recursive: true });
  const man = readdirSync(join(staged, 'man')).map((page) => `./man/${page}`);
  const files = [...manifest.files, 'man'];
  const published = { ...manifest, files, man, optionalDependencies };
  // Neither is for whoever installs it; scripts would run on packing.
  delete published.scripts;
  delete published.devDependencies;
  pack(staged, published);
}

function licences(staged) {
  for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) {
    copyFileSync(join(folder, name), join(staged, name));
  }
}

function pack(staged, described) {
  writeFileSync(join(staged, 'package.json'), `${JSON.stringify(described, null, 2)}\n`);
  execFileSync('npm', ['pack', '--silent', '--pack-destination', output], {
    cwd: staged,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
}

function nameOf(platform) {
  return `@tetherline/server-${platform}`;
}
