// Sizes in a bundle, minified and gzipped, against budgets.
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

import { folder } from './entries.mjs';

/** Fails the script if one is over. */
export function compare(sizes, budgets) {
  console.log('minified, gzip -9'.padEnd(22), 'bytes'.padStart(8), 'budget'.padStart(8));
  for (const [name, size] of Object.entries(sizes)) {
    const isOver = size > budgets[name];
    process.exitCode ||= isOver ? 1 : 0;
    const verdict = isOver ? '  OVER BUDGET' : '';
    console.log(
      name.padEnd(22),
      String(size).padStart(8),
      String(budgets[name]).padStart(8) + verdict,
    );
  }
}

/** What a module brings into a bundle; `external` is what the application has anyway. */
export async function bundled(contents, external) {
  const result = await build({
    stdin: { contents, resolveDir: folder },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    external,
    define: { 'process.env.NODE_ENV': '"production"' },
    // The banners are for bundlers that split server from client components.
    logOverride: { 'ignored-directive': 'silent' },
  });
  return gzipped(result.outputFiles[0].contents);
}

export function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length;
}
