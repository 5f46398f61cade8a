import { TetherlineError } from './errors.js';
import type { ClientOptions } from './types.js';

const STANDARD_PATH = '/ws/user/{user}';

/** The address of a user's WebSocket, `device` included. */
export function webSocketUrl(option: ClientOptions['url'], user: string, device: string): string {
  const template = (typeof option === 'function' ? option(user) : option) ?? STANDARD_PATH;
  const page = (globalThis as { location?: { href: string } }).location?.href;
  let url: URL;
  try {
    url = new URL(template.replaceAll('{user}', encodeURIComponent(user)), page);
  } catch {
    throw new TetherlineError(
      'invalid_address',
      `Tetherline: "${template}" is no address of a WebSocket. ` +
        (page === undefined
          ? 'Outside of a browser page, `url` has to be absolute, like "wss://example.com".'
          : 'Set `url` to something like "wss://example.com", or leave it out for this origin.'),
    );
  }
  if (url.pathname === '/') {
    url.pathname = STANDARD_PATH.replace('{user}', encodeURIComponent(user));
  }
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.hash = '';
  url.searchParams.set('device', device);
  return url.href;
}

/** The same URL, to be asked without an upgrade. */
export function probeUrl(webSocket: string): string {
  return webSocket.replace(/^ws/, 'http');
}
