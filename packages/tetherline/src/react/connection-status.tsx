'use client';

import {
  type ComponentPropsWithoutRef,
  type CSSProperties,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react';

import type { Client, Snapshot } from '../index.js';
import { ClientContext, provided } from './context.js';
import { useSnapshot } from './use-connection.js';

/** The words of {@link ConnectionStatus}. An empty one shows nothing in that state. */
export interface ConnectionTexts {
  signedOut: string;
  connecting: string;
  connected: string;
  /** Read out once when the connection is lost; what is shown meanwhile counts and is not. */
  lost: string;
  /** An attempt is under way; the first one after a loss is 1. */
  reconnecting: (attempt: number) => string;
  /** So many seconds until the next attempt. */
  reconnectingIn: (seconds: number, attempt: number) => string;
  /** The browser has no network. */
  offline: (attempt: number) => string;
  /** The server takes no token of this user, and fresh ones are tried. */
  notAccepted: string;
  /** There are no more tokens of this user. */
  refused: string;
  /** There can be no connection: the snapshot's `error` says why. */
  failed: string;
  tryNow: string;
}

const ENGLISH: ConnectionTexts = {
  signedOut: '',
  connecting: 'Connecting…',
  connected: 'Connected',
  lost: 'Connection lost, reconnecting',
  reconnecting: () => 'Reconnecting…',
  reconnectingIn: (seconds) =>
    seconds < 100
      ? `Reconnecting in ${seconds} s`
      : `Reconnecting in ${Math.ceil(seconds / 60)} min`,
  offline: () => 'You are offline',
  notAccepted: 'Your sign-in is not accepted yet, trying again',
  refused: 'Not connected. Sign in again',
  failed: 'This page cannot connect. Reload it, or try another browser',
  tryNow: 'Try now',
};

/** A shorter interruption is over before anybody has read that there is one. */
const DELAY_MS = 1_000;

export interface ConnectionStatusProps extends ComponentPropsWithoutRef<'div'> {
  /** Words instead of the English ones. */
  texts?: Partial<ConnectionTexts>;
  /** Whether to show that all is well, too. Default: no. */
  showConnected?: boolean;
  /** How long there has to be no connection until that is shown, in ms. Default: 1,000. */
  delayMs?: number;
  /** Shown before the words: an icon. */
  children?: ReactNode;
}

/** What is shown; also its `data-status`. */
type Status =
  | 'signed-out'
  | 'connecting'
  | 'connected'
  | 'reconnecting'
  | 'waiting'
  | 'not-accepted'
  | 'refused'
  | 'failed';

/**
 * Says in words whether there is a connection, and when there will be one again. Unstyled; import
 * `tetherline/status.css` for a look. Other props go to the element, which is there only while there
 * is something to show.
 */
export function ConnectionStatus({
  texts,
  showConnected = false,
  delayMs = DELAY_MS,
  className = 'tetherline-status',
  children,
  ...rest
}: ConnectionStatusProps): ReactNode {
  const client = provided(useContext(ClientContext), 'ConnectionStatus');
  const status = useSnapshot(client, statusOf);
  const words = { ...ENGLISH, ...texts };
  const phase = usePhase(status === 'connected' || status === 'signed-out', delayMs);
  const isShown = phase === 'troubled' || showConnected || status === 'signed-out';
  const shown = useWords(client, status, words);
  return (
    <>
      {/* Always there, since screen readers only notice changes of what they know. */}
      <span role="status" style={FOR_SCREEN_READERS}>
        {isShown || phase === 'recovered' ? spoken(status, words) : ''}
      </span>
      {isShown && shown !== '' && (
        <div className={className} data-status={status} {...rest}>
          {children}
          {/* It counts down: having every second read out would drown everything else. */}
          <span aria-hidden="true">{shown}</span>
          {isTriedAgain(status) && (
            // Also there while an attempt is under way, so that nothing moves from under a finger.
            <button type="button" onClick={client.reconnect}>
              {words.tryNow}
            </button>
          )}
        </div>
      )}
    </>
  );
}

const FOR_SCREEN_READERS: CSSProperties = {
  position: 'absolute',
  width: 1,
  height: 1,
  overflow: 'hidden',
  clipPath: 'inset(50%)',
  whiteSpace: 'nowrap',
};

function statusOf({ status, reconnectAttempts }: Snapshot): Status {
  switch (status) {
    case 'signed_out':
      return 'signed-out';
    case 'connecting':
      return reconnectAttempts > 0 ? 'reconnecting' : 'connecting';
    case 'refused':
      return reconnectAttempts > 0 ? 'not-accepted' : 'refused';
    default:
      return status;
  }
}

function isTriedAgain(status: Status): boolean {
  return status === 'reconnecting' || status === 'waiting' || status === 'not-accepted';
}

/** From a trouble that lasts on: `troubled`, and `recovered` once it is over. */
type Phase = 'well' | 'troubled' | 'recovered';

function usePhase(isWell: boolean, delayMs: number): Phase {
  const [phase, setPhase] = useState<Phase>('well');
  useEffect(() => {
    if (isWell) {
      return undefined;
    }
    const timer = setTimeout(() => setPhase('troubled'), delayMs);
    return () => {
      clearTimeout(timer);
      setPhase((was) => (was === 'troubled' ? 'recovered' : was));
    };
  }, [isWell, delayMs]);
  return phase;
}

function spoken(status: Status, words: ConnectionTexts): string {
  switch (status) {
    case 'signed-out':
      return words.signedOut;
    case 'reconnecting':
    case 'waiting':
      return words.lost;
    case 'not-accepted':
      return words.notAccepted;
    default:
      return words[status];
  }
}

function useWords(client: Client, status: Status, words: ConnectionTexts): string {
  const attempt = useSnapshot(client, (snapshot) => snapshot.reconnectAttempts);
  const seconds = useSecondsUntil(useSnapshot(client, (snapshot) => snapshot.retryAt));
  const isOnline = useSyncExternalStore(watchNetwork, hasNetwork, () => true);
  switch (status) {
    case 'waiting':
    case 'reconnecting':
      if (!isOnline) {
        return words.offline(attempt);
      }
      return status === 'waiting' && seconds > 0
        ? words.reconnectingIn(seconds, attempt)
        : words.reconnecting(attempt);
    default:
      return spoken(status, words);
  }
}

/** Whole seconds until then, 0 if that is over or never. Renders when the number changes. */
function useSecondsUntil(at: number | null): number {
  const due = useMemo(() => onMonotonicClock(at ?? 0), [at]);
  const subscribe = useCallback(
    (tell: () => void) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const next = () => {
        const left = due - performance.now();
        if (left > 0) {
          timer = setTimeout(
            () => {
              tell();
              next();
            },
            left % 1_000 || 1_000,
          );
        }
      };
      next();
      return () => clearTimeout(timer);
    },
    [due],
  );
  const left = () => Math.max(0, Math.ceil((due - performance.now()) / 1_000));
  return useSyncExternalStore(subscribe, left, () => 0);
}

/** The clock that nobody sets: a countdown by it is right after somebody has set the other one. */
function onMonotonicClock(at: number): number {
  return performance.now() + at - Date.now();
}

function watchNetwork(tell: () => void): () => void {
  window.addEventListener('online', tell);
  window.addEventListener('offline', tell);
  return () => {
    window.removeEventListener('online', tell);
    window.removeEventListener('offline', tell);
  };
}

function hasNetwork(): boolean {
  return navigator.onLine;
}
