import { homedir } from 'node:os';
import { resolve } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { decode } from '../src/core/decode.js';
import { ENGINE_WASM } from '../src/generated/engine-wasm.js';
import { createClient } from '../src/index.js';

afterEach(() => {
  vi.restoreAllMocks();
  vi.resetModules();
});

async function freshly() {
  vi.resetModules();
  return (await import('../src/index.js')).createClient;
}

describe('the engine', () => {
  it('is compiled once, on the first sign-in, never at import', async () => {
    const compile = vi.spyOn(WebAssembly, 'Module');
    const create = await freshly();
    const options = { url: 'ws://127.0.0.1:9', getToken: () => null, debug: false };
    const logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const first = create({ ...options, logger });
    const second = create({ ...options, logger });
    expect(compile).not.toHaveBeenCalled();
    first.signIn('ann');
    second.signIn('bob');
    expect(compile).toHaveBeenCalledOnce();
    first.destroy();
    second.destroy();
  });

  it('that the page forbids is reported in one clear sentence', async () => {
    vi.spyOn(WebAssembly, 'Module').mockImplementation(function () {
      throw new WebAssembly.CompileError(
        "WebAssembly.Module(): Refused to compile or instantiate WebAssembly module because 'unsafe-eval' is not an allowed source of script in the following Content Security Policy directive",
      );
    });
    const create = await freshly();
    const logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const client = create({ url: 'ws://127.0.0.1:9', getToken: () => null, logger });
    client.signIn('ann');
    expect(logger.error).toHaveBeenCalledOnce();
    expect(logger.error.mock.calls[0]![0]).toBe(
      "Tetherline: This page's Content-Security-Policy forbids WebAssembly, so there is no connection; add 'wasm-unsafe-eval' to its script-src.",
    );
    expect(client.getSnapshot().status).toBe('signed_out');
    await expect(client.send({ type: 'ask' })).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining("'wasm-unsafe-eval'") as string,
    });
  });

  it('begins with the small memory that the build asks for', () => {
    const engine = new WebAssembly.Module(decode(ENGINE_WASM));
    const { memory } = new WebAssembly.Instance(engine).exports;
    expect((memory as WebAssembly.Memory).buffer.byteLength).toBeLessThanOrEqual(256 * 1024);
  });

  it('names no folder of the machine that built it', () => {
    const text = Buffer.from(decode(ENGINE_WASM)).toString('latin1');
    const sources = text.match(/[\x21-\x7e]+?\.rs/g) ?? [];
    expect(sources).toContainEqual(expect.stringContaining('engine/src/'));
    for (const source of sources) {
      expect(source).toMatch(/^(\/(rustc|cargo)\/|crates\/)/);
    }
    for (const folder of [resolve('../..'), homedir(), '.rustup', '.cargo']) {
      expect(text).not.toContain(folder);
    }
  });
});

it('a destroyed client stays so', () => {
  const client = createClient({ getToken: () => null });
  client.destroy();
  expect(() => client.signIn('ann')).toThrow('this client is destroyed');
});
