// The compiler leaves stylesheets where they are.
import { copyFile } from 'node:fs/promises';

await copyFile(
  new URL('../src/react/status.css', import.meta.url),
  new URL('../dist/react/status.css', import.meta.url),
);
