// @vitest-environment node
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { BLOCK_NAMES, readBlocks } from './support/quick-start';

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const project = join(import.meta.dirname, 'tsconfig.quick-start.json');

it('knows every TypeScript block of the quick start', () => {
  const blocks = readBlocks();
  expect(blocks).toHaveLength(21);
  expect(BLOCK_NAMES).toHaveLength(blocks.length);
});

it('type-checks every block as it is written', { timeout: 120_000 }, async () => {
  const run = promisify(execFile)(process.execPath, [tsc, '-p', project, '--listFiles']);
  const output = await run.then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { stdout: string }).stdout,
  );
  const lines = output.split('\n');
  expect(lines.filter((line) => line.includes('error TS'))).toEqual([]);
  for (const name of BLOCK_NAMES) {
    expect(output).toContain(`/fixtures/generated/${name}.tsx`);
  }
});
