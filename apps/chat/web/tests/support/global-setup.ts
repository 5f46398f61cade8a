import { writeModules } from './quick-start';

/** Once, before any test file: they share the modules. */
export default function setup(): void {
  writeModules();
}
