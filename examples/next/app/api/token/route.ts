import { signedIn, token } from '@/lib/session';

export async function POST(): Promise<Response> {
  const user = await signedIn();
  return user === null ? new Response(null, { status: 204 }) : new Response(await token(user));
}
