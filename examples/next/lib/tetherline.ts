import 'server-only';

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where `tetherline serve` listens. */
export function address(): string {
  return process.env.TETHERLINE_URL ?? 'http://127.0.0.1:8400';
}

/** What `tetherline serve` has made in its data folder. */
export function secret(name: 'jwt.secret' | 'api.key' | 'webhook.secret'): string {
  const folder = process.env.TETHERLINE_DATA ?? './mailbox';
  return readFileSync(join(/* turbopackIgnore: true */ folder, name), 'utf8').trim();
}

export async function publish(user: string, key: string, message: object): Promise<void> {
  const mailbox = `${address()}/v1/users/${encodeURIComponent(user)}`;
  const response = await fetch(`${mailbox}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret('api.key')}`, 'idempotency-key': key },
    body: JSON.stringify(message),
  });
  if (!response.ok) {
    throw new Error(`Publishing failed with ${response.status}.`);
  }
}
