import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { expect, it } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));

it('every entry exports what is meant, and nothing by accident', async () => {
  // Frames of the engine, limits of a batch and a class to construct had slipped in: whatever a name is
  // exported for, somebody builds on it. Whoever adds one here means it.
  const sources = entries();
  const config = ts.readConfigFile(`${folder}tsconfig.build.json`, (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, folder);
  const program = ts.createProgram(
    sources.map(({ file }) => file),
    options,
  );
  const checker = program.getTypeChecker();
  const lists = sources.map(({ name, file }) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    const names = checker.getExportsOfModule(module).map((symbol) => line(symbol, checker));
    return [name, ...names.sort()].join('\n  ');
  });
  await expect(`${lists.join('\n')}\n`).toMatchFileSnapshot('public-names.txt');
}, 60_000);

/** Those that have types, as package.json has them. */
function entries(): { name: string; file: string }[] {
  const { exports } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8')) as {
    exports: Record<string, string | { types: string }>;
  };
  return Object.entries(exports).flatMap(([path, target]) => {
    if (typeof target === 'string') {
      return [];
    }
    const source = target.types.replace('./dist/', 'src/').replace('.d.ts', '.ts');
    return [{ name: path.replace('.', 'tetherline'), file: folder + source }];
  });
}

/** A name, and whether there is anything of it when the program runs. */
function line(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
  const isType = symbol.declarations?.some(ts.isTypeOnlyImportOrExportDeclaration) === true;
  const { flags } = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
  return `${isType || !(flags & ts.SymbolFlags.Value) ? 'type ' : ''}${symbol.name}`;
}
