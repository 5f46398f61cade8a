import { ENGINE_WASM } from '../generated/engine-wasm.js';
import { decode } from './decode.js';
import type { Engine } from './engine.js';
import { TetherlineError } from './errors.js';

let compiled: WebAssembly.Module | undefined;

/** A new engine. Compiling happens on the first call, never at import. */
export function createEngine(): Engine {
  try {
    compiled ??= new WebAssembly.Module(decode(ENGINE_WASM));
    // What the crate exports is what the interface lists; the tests run every one of them.
    const engine = new WebAssembly.Instance(compiled).exports as unknown as Engine;
    const [low = 0, high = 0] = crypto.getRandomValues(new Uint32Array(2));
    engine.init(low, high);
    return engine;
  } catch (cause) {
    throw new TetherlineError('engine_unavailable', explain(cause), { cause });
  }
}

function explain(cause: unknown): string {
  const reason = String(cause);
  return /Content.?Security|unsafe-eval/i.test(reason)
    ? "This page's Content-Security-Policy forbids WebAssembly, so there is no connection; add 'wasm-unsafe-eval' to its script-src."
    : `The WebAssembly engine could not be loaded, so there is no connection (${reason}).`;
}
