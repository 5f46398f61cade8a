import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

it('no published type has an `any` in it', () => {
  const config = ts.parseJsonConfigFileContent(
    ts.readConfigFile(`${root}tsconfig.build.json`, (path) => ts.sys.readFile(path)).config,
    ts.sys,
    dirname(`${root}tsconfig.build.json`),
  );
  const found: string[] = [];
  ts.createProgram(config.fileNames, { ...config.options, emitDeclarationOnly: true }).emit(
    undefined,
    (name, text) => {
      const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
      const visit = (node: ts.Node): void => {
        if (node.kind === ts.SyntaxKind.AnyKeyword) {
          found.push(`${name}: ${node.parent.getText()}`);
        }
        ts.forEachChild(node, visit);
      };
      if (name.endsWith('.d.ts')) {
        visit(source);
      }
    },
  );
  expect(found).toEqual([]);
}, 60_000);

it('what is for React says that it is for the client', () => {
  const folder = `${root}src/react/`;
  const hooked = readdirSync(folder).filter(
    (file) => file === 'index.ts' || /from 'react'/.test(readFileSync(folder + file, 'utf8')),
  );
  expect(hooked.length).toBeGreaterThan(5);
  for (const file of hooked) {
    expect(readFileSync(folder + file, 'utf8'), file).toMatch(/^'use client';\n/);
  }
});
