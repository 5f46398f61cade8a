import { DEFAULT_MESSAGE_BYTES_MAX, SUBPROTOCOL } from '../generated/protocol.js';
import { webSocketUrl } from './connection/address.js';
import type { Link } from './connection/socket.js';
import { TetherlineError } from './errors.js';
import { deviceOf, isUserId } from './identity.js';
import { Parked } from './messages/parked.js';
import { Outbox } from './sends/outbox.js';
import type { Tabs } from './tabs/tabs.js';
import type { ClientOptions, Message } from './types.js';

/**
 * Everything that belongs to one user's being signed in. It is left behind at sign-out; whatever
 * happens late finds `isLive` false.
 */
export class Session {
  readonly user: string;
  readonly url: string;
  /** The same in all tabs, which may disagree about a device that each has just made up. */
  readonly tabsName: string;
  isLive = true;
  token = '';
  link: Link | null = null;
  /** Null where every tab has a connection of its own. */
  tabs: Tabs | null = null;
  /** The leading tab's connection that its last welcome was about. */
  through = 0;
  /** The running call of `getToken`, and the running probe. */
  resolving: AbortController | null = null;
  /** When `getToken` was asked, until it answers. */
  askedAt = Infinity;
  /** There is no token, and whose fault that is has been reported. */
  isTokenOverdue = false;
  probing: AbortController | null = null;
  /** Nothing is at the address, and that has been reported. */
  isMisplaced = false;
  /** The page may be in the back-forward cache: nothing is held that other pages may want. */
  isAway = false;
  messageBytesMax: number = DEFAULT_MESSAGE_BYTES_MAX;
  readonly outbox = new Outbox();
  readonly parked = new Parked();
  /** Messages whose handlers have not settled, by position. */
  readonly held = new Map<number, Message>();

  /** Throws a {@link TetherlineError} where that is no user, or there is no such address. */
  constructor(user: string, options: ClientOptions) {
    if (!isUserId(user)) {
      throw new TetherlineError(
        'invalid_user',
        `Tetherline: ${JSON.stringify(user)} is no user id; that is 1 to 255 bytes without / and \\.`,
      );
    }
    this.user = user;
    this.url = webSocketUrl(options.url, user, options.device ?? deviceOf(user));
    const address = webSocketUrl(options.url, user, options.device ?? '');
    // An address need not name the user, and tabs of two users are strangers.
    this.tabsName = `${SUBPROTOCOL} ${address} ${encodeURIComponent(user)}`;
  }

  /** Stops what is under way. */
  end(): void {
    this.isLive = false;
    this.resolving?.abort();
    this.probing?.abort();
    this.parked.clear();
    this.held.clear();
  }
}
