import { homedir } from 'node:os';
import { resolve } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { decode } from '../../src/core/engine/decode.js';
import { ENGINE_WASM } from '../../src/generated/engine-wasm.js';
import { createClient } from '../../src/index.js';
import { givenServer } from '../support/setup.js';
import { until } from '../support/until.js';

const context = givenServer();

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.resetModules();
});

function refusesToCompile(reason: Error): void {
  vi.spyOn(WebAssembly, 'Module').mockImplementation(function () {
    throw reason;
  });
  vi.spyOn(WebAssembly, 'compile').mockRejectedValue(reason);
}

async function freshly() {
  vi.resetModules();
  return (await import('../../src/index.js')).createClient;
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
    refusesToCompile(
      new WebAssembly.CompileError(
        "WebAssembly.Module(): Refused to compile or instantiate WebAssembly module because 'unsafe-eval' is not an allowed source of script in the following Content Security Policy directive",
      ),
    );
    const create = await freshly();
    const logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const client = create({ url: 'ws://127.0.0.1:9', getToken: () => null, logger });
    client.signIn('ann');
    const sent = client.send({ type: 'ask' });
    await until(() => client.getSnapshot().status === 'failed', 'the failure');
    expect(logger.error).toHaveBeenCalledOnce();
    expect(logger.error.mock.calls[0]![0]).toBe(
      "Tetherline: This page's Content-Security-Policy forbids WebAssembly, so there is no connection; add 'wasm-unsafe-eval' to its script-src.",
    );
    // It looked like being signed out: no status said that there would never be a connection.
    const failure = {
      code: 'engine_unavailable',
      message: expect.stringContaining("'wasm-unsafe-eval'") as string,
    };
    expect(client.getSnapshot().error).toEqual(failure);
    await expect(sent).rejects.toMatchObject(failure);
    await expect(client.send({ type: 'ask' })).rejects.toMatchObject(failure);
    client.signOut();
    expect(client.getSnapshot()).toMatchObject({ status: 'signed_out', error: null });
  });

  it('that is not there at all is a failure as well', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    const create = await freshly();
    const logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const client = create({ url: 'ws://127.0.0.1:9', getToken: () => null, logger });
    client.signIn('ann');
    await until(() => client.getSnapshot().status === 'failed', 'the failure');
    expect(client.getSnapshot().error?.code).toBe('engine_unavailable');
  });

  it('is compiled in the background where it may not be at once, and nothing is lost or overtaken', async () => {
    // Chromium until 2023: nothing over 4 KB on the thread of the page. There was no connection.
    vi.spyOn(WebAssembly, 'Module').mockImplementation(function () {
      throw new RangeError(
        'WebAssembly.Compile is disallowed on the main thread, if the buffer size is larger than 4KB.',
      );
    });
    const create = await freshly();
    const client = create(context.options());
    client.signIn('eve');
    client.signOut();
    client.signIn('ann');
    expect(client.getSnapshot().status).toBe('connecting');
    const news = vi.fn();
    client.on({ news });
    const sent = ['a', 'b', 'c'].map((id) => client.send({ type: 'ask', id }));
    context.server.publish('ann', { type: 'news' });
    await Promise.all(sent);
    await until(() => news.mock.calls.length === 1, 'the message');
    expect(context.server.connections).toHaveLength(1);
    const connection = await context.server.connection(1);
    expect(connection.ofType('ask').map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    client.destroy();
  });

  it('that comes late finds nobody whose user has signed out meanwhile', async () => {
    vi.spyOn(WebAssembly, 'Module').mockImplementation(function () {
      throw new RangeError('Not here.');
    });
    const compile = vi.spyOn(WebAssembly, 'instantiate');
    const create = await freshly();
    const client = create(context.options());
    client.signIn('ann');
    const sent = client.send({ type: 'ask' });
    client.signOut();
    await expect(sent).rejects.toMatchObject({ code: 'signed_out' });
    expect(compile).toHaveBeenCalledOnce();
    expect(client.getSnapshot().status).toBe('signed_out');
    expect(context.server.connections).toEqual([]);
    client.destroy();
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
