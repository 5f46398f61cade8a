// The entries of the package whose script runs, as its package.json has them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

// npm runs a package's scripts in its folder.
export const folder = process.cwd();
export const manifest = JSON.parse(readFileSync(join(folder, 'package.json')));

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
