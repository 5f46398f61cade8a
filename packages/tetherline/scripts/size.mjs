// What an application pays, minified and gzipped, against the budgets. React and Redux Toolkit are
// the application's own and left out.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

import { decode } from '../dist/core/engine/decode.js';
import { ENGINE_WASM } from '../dist/generated/engine-wasm.js';

const BUDGETS = {
  'engine (wasm)': 13_100,
  tetherline: 27_100,
  // With `tetherline/streams`, which the provider brings along.
  '+ tetherline/react': 4_750,
  '+ tetherline/redux': 2_150,
  '+ tetherline/outbox': 2_350,
  '+ tetherline/streams': 1_150,
};

const core = await bundled("export * from 'tetherline'");
const sizes = {
  'engine (wasm)': gzipped(engine()),
  tetherline: core,
  '+ tetherline/react':
    (await bundled("export * from 'tetherline'; export * from 'tetherline/react'")) - core,
  '+ tetherline/redux':
    (await bundled("export * from 'tetherline'; export * from 'tetherline/redux'")) - core,
  '+ tetherline/outbox':
    (await bundled("export * from 'tetherline'; export * from 'tetherline/outbox'")) - core,
  '+ tetherline/streams':
    (await bundled("export * from 'tetherline'; export * from 'tetherline/streams'")) - core,
};

let isOver = false;
console.log('minified, gzip -9'.padEnd(22), 'bytes'.padStart(8), 'budget'.padStart(8));
for (const [name, size] of Object.entries(sizes)) {
  const budget = BUDGETS[name];
  isOver ||= size > budget;
  const verdict = size > budget ? '  OVER BUDGET' : '';
  console.log(name.padEnd(22), String(size).padStart(8), String(budget).padStart(8) + verdict);
}
process.exitCode = isOver ? 1 : 0;

async function bundled(contents) {
  const resolveDir = fileURLToPath(new URL('..', import.meta.url));
  const result = await build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    external: ['react', 'react/*', '@reduxjs/toolkit'],
    define: { 'process.env.NODE_ENV': '"production"' },
    // The banners are for bundlers that split server from client components.
    logOverride: { 'ignored-directive': 'silent' },
  });
  return gzipped(result.outputFiles[0].contents);
}

function engine() {
  return decode(ENGINE_WASM);
}

function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length;
}
