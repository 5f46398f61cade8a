import type { NextRequest } from 'next/server';

import { signedIn, token } from '@/lib/session';

export async function POST(request: NextRequest): Promise<Response> {
  const user = await signedIn();
  const isAsked = user === request.nextUrl.searchParams.get('user');
  return user === null || !isAsked
    ? new Response(null, { status: 204 })
    : new Response(await token(user));
}
