/** Who is signed in, and where their messages come from. */
export interface Session {
  user: string | null;
  tetherline: string;
}

export async function currentSession(): Promise<Session> {
  return (await asked('/api/session')).json() as Promise<Session>;
}

export async function signIn(user: string): Promise<Session> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
  };
  return (await asked('/api/session', init)).json() as Promise<Session>;
}

export async function signOut(): Promise<Session> {
  return (await asked('/api/session', { method: 'DELETE' })).json() as Promise<Session>;
}

/**
 * `null` says that nobody is signed in any more; whatever throws here is asked again later. The backend
 * says it with 204: 401 could come from a proxy on the way.
 */
export async function getToken({ signal }: { signal: AbortSignal }): Promise<string | null> {
  const response = await fetch('/api/token', { method: 'POST', signal });
  if (response.status === 204) {
    return null;
  }
  return (await taken(response)).text();
}

async function asked(path: string, init?: RequestInit): Promise<Response> {
  return taken(await fetch(path, init));
}

async function taken(response: Response): Promise<Response> {
  if (!response.ok) {
    throw new Error(await response.text());
  }
  return response;
}
