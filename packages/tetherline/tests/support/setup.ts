import { afterEach, beforeEach, vi } from 'vitest';
import WebSocket from 'ws';

import { type Client, type ClientOptions, createClient } from '../../src/index.js';
import { ScriptedServer } from './scripted-server.js';
import { until } from './until.js';

/** A server per test, and clients of it that are cleaned up. */
export function givenServer() {
  const clients: Client[] = [];
  const context = {
    server: undefined as unknown as ScriptedServer,
    logger: { log: vi.fn(), warn: vi.fn(), error: vi.fn() },
    options(options: Partial<ClientOptions> = {}): ClientOptions {
      return {
        url: context.server.url,
        getToken: ({ user }) => `token-of-${user}`,
        WebSocket,
        debug: false,
        logger: context.logger,
        ...options,
      };
    },
    client(options: Partial<ClientOptions> = {}): Client {
      const client = createClient(context.options(options));
      clients.push(client);
      return client;
    },
    /** A client whose user is signed in and connected. */
    async connected(user = 'ann', options: Partial<ClientOptions> = {}): Promise<Client> {
      const client = context.client(options);
      client.signIn(user);
      await isConnected(client);
      return client;
    },
  };
  beforeEach(async () => {
    context.server = await ScriptedServer.start();
    context.logger = { log: vi.fn(), warn: vi.fn(), error: vi.fn() };
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) {
      client.destroy();
    }
    await context.server.stop();
  });
  return context;
}

export async function isConnected(client: Client): Promise<void> {
  await until(() => client.getSnapshot().isConnected, 'the client to be connected');
}
