// The package's entries, as its package.json has them.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const folder = fileURLToPath(new URL('..', import.meta.url));
export const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));

/** Each with its name (`tetherline/react`), module, types and source, relative to the package. */
export const entries = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target !== 'string')
  .map(([path, { types, default: module }]) => ({
    name: path.replace('.', manifest.name),
    module: module.replace('./', ''),
    types: types.replace('./', ''),
    source: types.replace('./dist/', 'src/').replace('.d.ts', '.ts'),
  }));
