import { ENGINE_WASM } from '../../generated/engine-wasm.js';
import { TetherlineError } from '../errors.js';
import { decode } from './decode.js';
import type { Engine } from './engine.js';

let compiled: WebAssembly.Module | undefined;

/**
 * A new engine. Compiling happens on the first call, never at import, and at once where that may be:
 * some browsers refuse it on the thread of the page, and do it in the background.
 */
export function createEngine(): Engine | Promise<Engine> {
  try {
    compiled ??= new WebAssembly.Module(decode(ENGINE_WASM));
    return begin(new WebAssembly.Instance(compiled));
  } catch (cause) {
    return inBackground().catch((later: unknown) => {
      throw new TetherlineError('engine_unavailable', explain(cause, later), { cause });
    });
  }
}

async function inBackground(): Promise<Engine> {
  compiled = await WebAssembly.compile(decode(ENGINE_WASM));
  return begin(await WebAssembly.instantiate(compiled));
}

function begin({ exports }: WebAssembly.Instance): Engine {
  // What the crate exports is what the interface lists; the tests run every one of them.
  const engine = exports as unknown as Engine;
  const [low = 0, high = 0] = crypto.getRandomValues(new Uint32Array(2));
  engine.init(low, high);
  return engine;
}

function explain(cause: unknown, later: unknown): string {
  const reason = String(cause);
  return /Content.?Security|unsafe-eval/i.test(`${reason} ${String(later)}`)
    ? "This page's Content-Security-Policy forbids WebAssembly, so there is no connection; add 'wasm-unsafe-eval' to its script-src."
    : `The WebAssembly engine could not be loaded, so there is no connection (${reason}).`;
}
