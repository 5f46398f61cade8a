// Writes the reference of every entry of a package below target/reference, and takes no warning.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Application, ConsoleLogger } from 'typedoc';

import { entries, folder, manifest } from './entries.mjs';

const NOT_EXPORTED = {
  tetherline: [
    'Actions',
    'Fields',
    'GivenClientProps',
    'Injected',
    'Knowing',
    'LocalErrorCode',
    'OwnClientProps',
    'Provide',
    'Reading',
    'WithoutInjected',
  ],
};
const output = fileURLToPath(
  new URL(`../../../target/reference/${manifest.name}`, import.meta.url),
);

/** What libraries' own comments are warned for is theirs to mend. */
class OurWarnings extends ConsoleLogger {
  warn(text, ...place) {
    if (!text.includes('node_modules/')) {
      super.warn(text, ...place);
    }
  }
}

const app = await Application.bootstrap({
  name: manifest.name,
  entryPoints: entries.map(({ source }) => join(folder, source)),
  tsconfig: join(folder, 'tsconfig.build.json'),
  readme: join(folder, 'README.md'),
  disableSources: true,
  excludeExternals: true,
  // Names for parts of a type that nobody uses by itself.
  intentionallyNotExported: NOT_EXPORTED[manifest.name] ?? [],
  validation: { invalidLink: true, notExported: true, rewrittenLink: true },
});
app.logger = new OurWarnings();

const project = await app.convert();
if (project) {
  app.validate(project);
}
if (!project || app.logger.hasErrors() || app.logger.hasWarnings()) {
  console.error(
    'The reference is not written: mend the comments, or export the types, that are named above.',
  );
  process.exit(1);
}
await app.generateDocs(project, output);
console.log(`The reference of ${entries.length} entries is in target/reference/${manifest.name}.`);
