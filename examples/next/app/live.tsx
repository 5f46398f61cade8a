'use client';

import { useRouter } from 'next/navigation';
import type { ReactNode } from 'react';
import { WebSocketInitializer } from 'tetherline/react';

interface Props {
  url: string;
  user: string | null;
  children: ReactNode;
}

/** Functions do not cross from server to browser, so what asks for tokens is a client component. */
export function Live({ url, user, children }: Props) {
  const router = useRouter();
  return (
    <WebSocketInitializer
      url={url}
      user={user}
      getToken={getToken}
      // Only looks who is signed in now: in another tab it may be somebody else already.
      onIdentityRefused={() => router.refresh()}
      onSignedOutElsewhere={() => router.refresh()}
    >
      {children}
    </WebSocketInitializer>
  );
}

interface Asked {
  user: string;
  signal: AbortSignal;
}

/**
 * `null` says that this person is signed in no more; whatever throws here is asked again later. The backend
 * says it with 204: 401 could come from a proxy on the way.
 */
async function getToken({ user, signal }: Asked): Promise<string | null> {
  const response = await fetch(`/api/token?user=${user}`, { method: 'POST', signal });
  if (response.status === 204) {
    return null;
  }
  if (!response.ok) {
    throw new Error(`The backend answers ${response.status}.`);
  }
  return response.text();
}
