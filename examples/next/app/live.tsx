'use client';

import type { ReactNode } from 'react';
import { WebSocketInitializer } from 'tetherline/react';

import { signOut } from './actions';

interface Props {
  url: string;
  user: string | null;
  children: ReactNode;
}

/** Functions do not cross from server to browser, so what asks for tokens is a client component. */
export function Live({ url, user, children }: Props) {
  return (
    <WebSocketInitializer
      url={url}
      user={user}
      getToken={getToken}
      onIdentityRefused={(_user, { isFinal }) => isFinal && void signOut()}
      onSignedOutElsewhere={() => void signOut()}
    >
      {children}
    </WebSocketInitializer>
  );
}

/**
 * `null` says that nobody is signed in any more; whatever throws here is asked again later. The backend
 * says it with 204: 401 could come from a proxy on the way.
 */
async function getToken({ signal }: { signal: AbortSignal }): Promise<string | null> {
  const response = await fetch('/api/token', { method: 'POST', signal });
  if (response.status === 204) {
    return null;
  }
  if (!response.ok) {
    throw new Error(`The backend answers ${response.status}.`);
  }
  return response.text();
}
