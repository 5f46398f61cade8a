'use client';

import { type ReactNode, useEffect, useLayoutEffect, useMemo, useState } from 'react';

import { type Client, type ClientOptions, createClient, type HandlersOf } from '../index.js';
import { streamedMessages } from '../streams/index.js';
import { complain } from './complain.js';
import { ClientContext, WebSocketContext, type WebSocketContextValue } from './context.js';
import { useSnapshot } from './use-connection.js';

interface UserProps {
  /**
   * Whoever is signed in; null when nobody is, which signs out every tab and forgets what was not
   * sent. Undefined while that is not known yet, as when an auth library loads again: then this page
   * only leaves its connection.
   */
  user: string | null | undefined;
  children?: ReactNode;
}

interface OwnClientProps extends ClientOptions, UserProps {
  client?: undefined;
}

interface GivenClientProps extends UserProps {
  /** A client made by `createClient`, to be used outside of React too. It keeps its own options. */
  client: Client;
}

export type WebSocketInitializerProps = OwnClientProps | GivenClientProps;

/** Connects while somebody is signed in, and lets everything below use the connection. */
export function WebSocketInitializer(props: WebSocketInitializerProps): ReactNode {
  return props.client ? <Provider {...props} /> : <OwnClient {...props} />;
}

function OwnClient({ user, children, ...options }: OwnClientProps): ReactNode {
  // Making a client has no side effects: rendering on a server opens nothing.
  const [{ client, follow }] = useState(() => followingClient(options));
  useBeforeOtherEffects(() => follow(options));
  useOnlyOne(options.url, user);
  return (
    <Provider client={client} user={user}>
      {children}
    </Provider>
  );
}

function Provider({ client, user, children }: GivenClientProps): ReactNode {
  // First, so that the server is asked for them at once.
  useBeforeOtherEffects(() => client.showStreams(streamedMessages), [client]);
  useSignedIn(client, user);
  const isConnected = useSnapshot(client, (snapshot) => snapshot.isConnected);
  const reconnectAttempts = useSnapshot(client, (snapshot) => snapshot.reconnectAttempts);
  const registering = useMemo(() => forgivingRegistration(client), [client]);
  const value = useMemo<WebSocketContextValue>(
    () => ({
      isConnected,
      reconnectAttempts,
      send: client.send,
      stop: client.stop,
      requestPending: client.requestPending,
      ...registering,
    }),
    [client, isConnected, reconnectAttempts, registering],
  );
  return (
    <ClientContext.Provider value={client}>
      <WebSocketContext.Provider value={value}>{children}</WebSocketContext.Provider>
    </ClientContext.Provider>
  );
}

// Layout effects run before the effects of children, which may want to send at once. On a server
// neither runs, but React 18 warns about this one.
const useBeforeOtherEffects = typeof window === 'undefined' ? useEffect : useLayoutEffect;

/** How many providers use a client. */
const uses = new WeakMap<Client, number>();

function useSignedIn(client: Client, user: string | null | undefined): void {
  useBeforeOtherEffects(() => {
    try {
      if (user === null) {
        client.signOut();
      } else if (user === undefined) {
        client.leave();
      } else {
        client.signIn(user);
      }
    } catch (error) {
      // A user or an address that is none costs the connection, and not the page.
      complain(error);
    }
  }, [client, user]);

  // Not undone with the effect above: React undoes that one also while something suspends.
  useEffect(() => {
    uses.set(client, usesOf(client) + 1);
    return () => {
      uses.set(client, usesOf(client) - 1);
      // StrictMode unmounts and mounts again in one breath: that is no reason to hang up.
      queueMicrotask(() => {
        if (usesOf(client) === 0) {
          client.leave();
        }
      });
    };
  }, [client]);
}

function usesOf(client: Client): number {
  return uses.get(client) ?? 0;
}

type Url = ClientOptions['url'];

/** Whom the mounted providers that have made their own clients connect, and where. */
const mounted: string[] = [];

function useOnlyOne(url: Url, user: string | null | undefined): void {
  useEffect(() => {
    if (!user || typeof url === 'function') {
      return undefined;
    }
    const self = `${user} ${url ?? ''}`;
    if (mounted.includes(self)) {
      complain(
        'Tetherline: two WebSocketInitializers connect the same user, so there are two connections. ' +
          'Keep one around everything that uses it, or give both the same `client`.',
      );
    }
    mounted.push(self);
    return () => void mounted.splice(mounted.indexOf(self), 1);
  }, [url, user]);
}

/** What is no function is reported and left out, rather than thrown out of somebody's effect. */
function forgivingRegistration(client: Client) {
  const forgiving =
    <R,>(register: (handlers: HandlersOf<string>) => R) =>
    (handlers: HandlersOf<string>): R => {
      try {
        return register(handlers);
      } catch (error) {
        complain(error);
        return register(onlyFunctions(handlers));
      }
    };
  return {
    registerHandlers: forgiving(client.on),
    unregisterHandlers: forgiving(client.off),
  };
}

function onlyFunctions(handlers: object | null | undefined): HandlersOf<string> {
  const entries = Object.entries(handlers ?? {});
  return Object.fromEntries(entries.filter(([, handler]) => typeof handler === 'function'));
}

/** A client that looks callbacks up when it calls them, so that inline functions are never stale. */
function followingClient(initial: ClientOptions) {
  let latest = initial;
  const client: Client = createClient({
    ...initial,
    streams: initial.streams ?? streamedMessages(),
    url: (user) => urlOf(latest.url, user),
    getToken: (request) => latest.getToken(request),
    messages: {
      read: (message, refuse) =>
        latest.messages ? latest.messages.read(message, refuse) : message,
    },
    onInvalidMessage: (message, issues) => latest.onInvalidMessage?.(message, issues),
    onIdentityRefused: (user, refusal) => latest.onIdentityRefused?.(user, refusal),
    onSignedOutElsewhere: (user) => latest.onSignedOutElsewhere?.(user),
    onServerError: (error) => latest.onServerError?.(error),
    onHandlerError: (error, message) => latest.onHandlerError?.(error, message),
    onGap: (gap) => latest.onGap?.(gap),
    onUnhandled: initial.onUnhandled && ((message, meta) => latest.onUnhandled?.(message, meta)),
  });
  return {
    client,
    follow: (options: ClientOptions) => {
      latest = options;
    },
  };
}

function urlOf(url: Url, user: string): string | undefined {
  return typeof url === 'function' ? url(user) : url;
}
