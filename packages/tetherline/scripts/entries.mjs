// The package's entries, as its package.json has them.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const folder = fileURLToPath(new URL('..', import.meta.url));
export const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));

/**
 * Each with its name (`tetherline/react`), its source, and its modules, of which a bundler takes one;
 * relative to the package.
 */
export const entries = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target !== 'string')
  .map(([path, { types, ...modules }]) => ({
    name: path.replace('.', manifest.name),
    source: types.replace('./dist/', 'src/').replace('.d.ts', '.ts'),
    types: types.replace('./', ''),
    modules: Object.values(modules).map((module) => module.replace('./', '')),
  }));
