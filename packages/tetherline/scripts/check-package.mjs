// Looks at what would be published as somebody does who installs it: every file that goes out, where
// its maps lead, what its entries do when they are imported, and what publint and attw say.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

import { entries, folder, manifest } from './entries.mjs';

const ALLOWED = [
  /^package\.json$/,
  /^README\.md$/,
  /^LICENSE-(APACHE|MIT)$/,
  /^bin\/tetherline\.mjs$/,
  /^dist\/[\w/-]+\.(js|d\.ts)(\.map)?$/,
  /^src\/[\w/-]+\.tsx?$/,
  /^(dist|src)\/[\w/-]+\.css$/,
];
/** Modules and their sources, each with its map and its types. */
const PACKED_BYTES_MAX = { tetherline: 315_000, 'tetherline-markdown': 35_000 }[manifest.name];
/** A constant of the package; what it adds to a bundle, minified, is itself and nothing else. */
const CONSTANT = { tetherline: 'PING' }[manifest.name];
const ONE_CONSTANT_BYTES_MAX = 100;
/** What nobody may touch by merely importing. */
const UNTOUCHED = ['WebSocket', 'fetch', 'localStorage', 'indexedDB', 'BroadcastChannel'];

/** Entries that a server component may import from. */
const IN_REACT = ['tetherline/react', 'tetherline/inspector'];

const root = fileURLToPath(new URL('../../../', import.meta.url));
// Somewhere below the root, so that React and Redux Toolkit are found.
const output = join(root, 'target/package', manifest.name);
const unpacked = join(output, 'package');
const problems = [];

const packed = pack();
const files = packed.files.map(({ path }) => path);
const read = (path) => readFileSync(join(unpacked, path), 'utf8');

nothingElseIsPacked();
licencesAreOurs();
mapsResolve();
directivesAreKept();
everyEntryIsExported();
entriesAreQuiet();
if (CONSTANT) {
  await nothingIsKeptThatIsNotUsed();
}
await publintIsContent();
typesResolve();

for (const problem of problems) {
  console.error(problem);
}
const size = `${packed.size} bytes of ${PACKED_BYTES_MAX}`;
console.log(
  `${files.length} files, ${size}, ${entries.length} entries, ${problems.length} problems`,
);
process.exitCode = problems.length > 0 ? 1 : 0;

function pack() {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const run = (program, args) =>
    execFileSync(program, args, {
      cwd: folder,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });
  const [report] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', output]));
  run('tar', ['-xzf', join(output, report.filename), '-C', output]);
  return report;
}

function nothingElseIsPacked() {
  for (const path of files.filter((path) => !ALLOWED.some((allowed) => allowed.test(path)))) {
    problems.push(`${path} is packed, and nothing like it is in the list of what may be`);
  }
  for (const path of files.filter((path) => read(path).includes(root))) {
    problems.push(`${path} names a folder of this machine`);
  }
  if (packed.size > PACKED_BYTES_MAX) {
    problems.push(`the package has ${packed.size} bytes, ${PACKED_BYTES_MAX} are allowed`);
  }
}

/** A package folder cannot pack what lies above it, so it has copies. */
function licencesAreOurs() {
  for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) {
    if (!files.includes(name) || read(name) !== readFileSync(join(root, name), 'utf8')) {
      problems.push(`${name} is not packed as it is in the repository's root`);
    }
  }
}

function mapsResolve() {
  for (const path of files.filter((path) => /^dist\/.*\.(js|d\.ts)$/.test(path))) {
    const map = `${path}.map`;
    if (!files.includes(map) || !read(path).includes(`sourceMappingURL=${map.split('/').pop()}`)) {
      problems.push(`${path} has no map`);
      continue;
    }
    for (const source of JSON.parse(read(map)).sources) {
      const original = normalize(join(dirname(map), source)).replaceAll('\\', '/');
      if (!files.includes(original)) {
        problems.push(`${map} leads to ${original}, which is not packed`);
      }
    }
  }
}

/** Frameworks that render on servers go by them. */
function directivesAreKept() {
  const isClient = (path) => /^['"]use client['"];/.test(read(path));
  for (const source of files.filter((path) => /^src\/.*\.tsx?$/.test(path))) {
    const module = source.replace(/^src/, 'dist').replace(/\.tsx?$/, '.js');
    if (!files.includes(module)) {
      problems.push(`${source} has no ${module}`);
    } else if (isClient(source) !== isClient(module)) {
      problems.push(`'use client' is not in both of ${source} and ${module}`);
    }
  }
  const inReact = entries.filter(({ name }) => IN_REACT.includes(name));
  for (const module of inReact.flatMap(({ modules }) => modules)) {
    if (files.includes(module) && !isClient(module)) {
      problems.push(`${module} does not start with 'use client'`);
    }
  }
}

function everyEntryIsExported() {
  const inside = ['src/core/index.ts', 'src/generated/index.ts'];
  const indexes = files.filter((path) => /^src\/([\w-]+\/)?index\.tsx?$/.test(path));
  for (const path of indexes.filter((path) => !inside.includes(path))) {
    if (!entries.some(({ source }) => source === path.replace(/x$/, ''))) {
      problems.push(`${path} is no entry of package.json; call it otherwise if it is none`);
    }
  }
  for (const target of entries.flatMap(({ modules, types }) => [...modules, types])) {
    if (!files.includes(target)) {
      problems.push(`package.json exports ${target}, which is not packed`);
    }
  }
}

/** Importing an entry opens nothing, stores nothing, and compiles no WebAssembly. */
function entriesAreQuiet() {
  const traps = `
    const trap = (on, name) => Object.defineProperty(on, name, {
      get() { throw new Error(name + ' was touched by an import'); },
    });
    ${JSON.stringify(UNTOUCHED)}.forEach((name) => trap(globalThis, name));
    ['Module', 'Instance', 'compile', 'instantiate'].forEach((name) => trap(WebAssembly, name));
  `;
  for (const { name, module } of entries.flatMap(({ name, modules }) =>
    modules.map((module) => ({ name, module })),
  )) {
    const script = `${traps} await import(${JSON.stringify(`./${module}`)});`;
    try {
      execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
        cwd: unpacked,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    } catch (error) {
      problems.push(`importing ${name} fails or does something:\n${error.stderr}`);
    }
  }
}

async function nothingIsKeptThatIsNotUsed() {
  const result = await build({
    stdin: { contents: `export { ${CONSTANT} } from './dist/index.js'`, resolveDir: unpacked },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    // Not even when a bundler does not believe package.json.
    ignoreAnnotations: true,
  });
  const [{ contents }] = result.outputFiles;
  if (contents.length > ONE_CONSTANT_BYTES_MAX) {
    problems.push(`one constant of the package brings ${contents.length} bytes into a bundle`);
  }
}

async function publintIsContent() {
  const { messages, pkg } = await publint({ pkgDir: unpacked, pack: false, strict: true });
  problems.push(...messages.map((message) => `publint: ${formatMessage(message, pkg)}`));
}

/** As an ES module, which is all that the package is. */
function typesResolve() {
  const require = createRequire(import.meta.url);
  const cli = join(dirname(require.resolve('@arethetypeswrong/cli/package.json')), 'dist/index.js');
  const tarball = join(output, packed.filename);
  const paths = entries.map(({ name }) => name.replace(manifest.name, '.'));
  const args = ['--profile', 'esm-only', '--no-color', '--entrypoints', ...paths];
  try {
    execFileSync(process.execPath, [cli, tarball, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  } catch (error) {
    problems.push(`attw (${manifest.name}):\n${error.stdout}`);
  }
}
