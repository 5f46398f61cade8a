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

/** Ends this person's session; if another tab has signed in somebody else meanwhile, theirs stays. */
export async function signOut(user: string): Promise<Session> {
  return (
    await asked(`/api/session?user=${user}`, { method: 'DELETE' })
  ).json() as Promise<Session>;
}

interface Asked {
  user: string;
  signal: AbortSignal;
}

/**
 * `null` says that this person is signed in no more; whatever throws here is asked again later. The backend
 * says it with 204: 401 could come from a proxy on the way.
 */
export async function getToken({ user, signal }: Asked): Promise<string | null> {
  const response = await fetch(`/api/token?user=${user}`, { method: 'POST', signal });
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
