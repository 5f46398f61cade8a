// What an application pays, minified and gzipped, against the budgets. React and Redux Toolkit are
// the application's own and left out.
import { decode } from '../dist/core/engine/decode.js';
import { ENGINE_WASM } from '../dist/generated/engine-wasm.js';
import { bundled, compare, gzipped } from './sizes.mjs';

const BUDGETS = {
  'engine (wasm)': 13_480,
  tetherline: 27_950,
  // With `tetherline/streams`, which the provider brings along.
  '+ tetherline/react': 4_800,
  '+ tetherline/redux': 2_150,
  '+ tetherline/outbox': 2_350,
  '+ tetherline/streams': 1_150,
};

const PEERS = ['react', 'react/*', '@reduxjs/toolkit'];
const of = async (...entries) =>
  await bundled(entries.map((entry) => `export * from '${entry}';`).join(' '), PEERS);
const core = await of('tetherline');
const beside = async (entry) => (await of('tetherline', entry)) - core;

compare(
  {
    'engine (wasm)': gzipped(decode(ENGINE_WASM)),
    tetherline: core,
    '+ tetherline/react': await beside('tetherline/react'),
    '+ tetherline/redux': await beside('tetherline/redux'),
    '+ tetherline/outbox': await beside('tetherline/outbox'),
    '+ tetherline/streams': await beside('tetherline/streams'),
  },
  BUDGETS,
);
