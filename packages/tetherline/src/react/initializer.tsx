'use client';

import { type ReactNode, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';

import { type Client, type ClientOptions, createClient } from '../index.js';
import { ClientContext, WebSocketContext, type WebSocketContextValue } from './context.js';
import { useSnapshot } from './use-connection.js';

interface UserProps {
  /** Whoever is signed in; null or undefined while nobody is. */
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
  return (
    <Provider client={client} user={user}>
      {children}
    </Provider>
  );
}

function Provider({ client, user, children }: GivenClientProps): ReactNode {
  useSignedIn(client, user);
  const isConnected = useSnapshot(client, (snapshot) => snapshot.isConnected);
  const reconnectAttempts = useSnapshot(client, (snapshot) => snapshot.reconnectAttempts);
  const value = useMemo<WebSocketContextValue>(
    () => ({
      isConnected,
      reconnectAttempts,
      send: client.send,
      requestPending: client.requestPending,
      registerHandlers: client.on,
      unregisterHandlers: client.off,
    }),
    [client, isConnected, reconnectAttempts],
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

function useSignedIn(client: Client, user: string | null | undefined): void {
  useBeforeOtherEffects(() => {
    if (user) {
      client.signIn(user);
    } else {
      client.signOut();
    }
  }, [client, user]);

  const inUse = useRef<Client>(null);
  useBeforeOtherEffects(() => {
    inUse.current = client;
    return () => {
      inUse.current = null;
      // StrictMode unmounts and mounts again in one breath: that is no reason to hang up.
      queueMicrotask(() => {
        if (inUse.current !== client) {
          client.leave();
        }
      });
    };
  }, [client]);
}

/** A client that looks callbacks up when it calls them, so that inline functions are never stale. */
function followingClient(initial: ClientOptions) {
  let latest = initial;
  const client = createClient({
    ...initial,
    url: (user) => urlOf(latest.url, user),
    getToken: (request) => latest.getToken(request),
    onIdentityRefused: (user) => latest.onIdentityRefused?.(user),
    onSignedOutElsewhere: (user) => latest.onSignedOutElsewhere?.(user),
    onServerError: (error) => latest.onServerError?.(error),
    onHandlerError: (error, message) => latest.onHandlerError?.(error, message),
    onGap: (gap) => latest.onGap?.(gap),
  });
  return {
    client,
    follow: (options: ClientOptions) => {
      latest = options;
    },
  };
}

function urlOf(url: ClientOptions['url'], user: string): string | undefined {
  return typeof url === 'function' ? url(user) : url;
}
