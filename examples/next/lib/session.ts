import 'server-only';

import { jwtVerify, SignJWT } from 'jose';
import { cookies } from 'next/headers';

import { secret } from './tetherline';

export const USER = /^[a-z0-9]{1,32}$/;

const COOKIE = 'session';

/** Whoever this request comes from. */
export async function signedIn(): Promise<string | null> {
  const cookie = (await cookies()).get(COOKIE)?.value;
  try {
    return (await jwtVerify(cookie ?? '', cookieKey())).payload.sub ?? null;
  } catch {
    return null;
  }
}

export async function remember(user: string): Promise<void> {
  const cookie = await signed(cookieKey(), user, '1d');
  (await cookies()).set(COOKIE, cookie, { httpOnly: true, sameSite: 'lax' });
}

/** Only this person's: the cookie may be another's, who signed in from another tab. */
export async function forget(user: string): Promise<void> {
  if ((await signedIn()) === user) {
    (await cookies()).delete(COOKIE);
  }
}

/** What this user connects with. */
export function token(user: string): Promise<string> {
  return signed(new TextEncoder().encode(secret('jwt.secret')), user, '5m');
}

/** A cookie is no token, and a token is no cookie. */
function cookieKey(): Uint8Array {
  return new TextEncoder().encode(`cookie:${secret('jwt.secret')}`);
}

function signed(key: Uint8Array, user: string, lifetime: string): Promise<string> {
  const claims = new SignJWT().setSubject(user).setProtectedHeader({ alg: 'HS256' });
  return claims.setIssuedAt().setExpirationTime(lifetime).sign(key);
}
