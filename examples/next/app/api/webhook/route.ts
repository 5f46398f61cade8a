import { Webhook } from 'standardwebhooks';

import { USER } from '@/lib/session';
import { publish, secret } from '@/lib/tetherline';

interface Sent {
  user: string;
  message: { to?: unknown; text?: unknown };
}

/** What pages send comes here, once or, after a failure, again under the same key. */
export async function POST(request: Request): Promise<Response> {
  let sent: Sent;
  try {
    const webhook = new Webhook(secret('webhook.secret'));
    const headers = Object.fromEntries(request.headers);
    sent = webhook.verify(await request.text(), headers) as Sent;
  } catch {
    return new Response(null, { status: 401 });
  }
  const { user: from, message } = sent;
  const { to, text } = message;
  if (typeof to !== 'string' || !USER.test(to) || typeof text !== 'string') {
    const error = { code: 'rejected', message: 'A note has a name it goes to, and a text.' };
    return Response.json({ error }, { status: 400 });
  }
  for (const reader of new Set([to, from])) {
    const note = { type: 'note_new', from, to, text };
    await publish(reader, `${request.headers.get('idempotency-key')}/${reader}`, note);
  }
  return new Response(null, { status: 204 });
}
