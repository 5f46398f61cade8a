import { TetherlineError } from '../errors.js';
import type { ClientOptions } from '../types.js';

/**
 * The address of a user's WebSocket, `device` included. One that names the user, as `{user}` or in
 * `/ws/user/…` at its end (from a function: at its end), is taken as it is; any other is where a server is. Native clients do the same.
 */
export function webSocketUrl(option: ClientOptions['url'], user: string, device: string): string {
  const template = (typeof option === 'function' ? option(user) : option) ?? '/';
  const segment = encodeURIComponent(user);
  const page = (globalThis as { location?: { href: string } }).location?.href;
  let url: URL;
  try {
    url = new URL(template.replaceAll('{user}', segment), page);
    if (!/^(http|ws)s?:$/.test(url.protocol)) {
      throw new TypeError(url.protocol);
    }
  } catch {
    throw new TetherlineError(
      'invalid_address',
      `Tetherline: "${template}" is no address of a WebSocket. ` +
        (page === undefined
          ? 'Outside of a browser page, `url` has to be absolute, like "wss://example.com".'
          : 'Set `url` to something like "wss://example.com", or leave it out for this origin.'),
    );
  }
  const base = url.pathname.replace(/\/+$/, '');
  const mailbox = `/ws/user/${segment}`;
  // Whoever asks for the user names them on purpose, wherever their mailbox is.
  const own = typeof option === 'function' ? `/${segment}` : mailbox;
  const isOwn = template.includes('{user}') || base.endsWith(own);
  url.pathname = isOwn ? base : base + mailbox;
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.hash = '';
  url.searchParams.set('device', device);
  return url.href;
}

/** The same URL, to be asked without an upgrade. */
export function probeUrl(webSocket: string): string {
  return webSocket.replace(/^ws/, 'http');
}
