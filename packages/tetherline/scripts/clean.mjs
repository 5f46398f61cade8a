// A file that no longer has a source must not survive in what is published.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { folder } from './entries.mjs';

await rm(join(folder, 'dist'), { recursive: true, force: true });
