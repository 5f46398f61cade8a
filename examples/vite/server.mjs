// The example's own backend: it signs people in, makes their tokens, and passes on what they send.
// Both secrets stay here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import express from 'express';
import { jwtVerify, SignJWT } from 'jose';
import { Webhook } from 'standardwebhooks';

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:3000' },
    tetherline: { type: 'string', default: 'http://127.0.0.1:8400' },
    data: { type: 'string', default: './mailbox' },
    dev: { type: 'boolean', default: false },
  },
});
const USER = /^[a-z0-9]{1,32}$/;

// `tetherline serve` has made these.
const secret = (name) => readFileSync(join(options.data, name), 'utf8').trim();
const tokenKey = Buffer.from(secret('jwt.secret'));
// A cookie is no token, and a token is no cookie.
const cookieKey = Buffer.from(`cookie:${secret('jwt.secret')}`);
const apiKey = secret('api.key');
const webhook = new Webhook(secret('webhook.secret'));

const app = express();
app.disable('x-powered-by');

app.get('/api/session', async (request, response) => {
  response.json(session(await signedIn(request)));
});

app.post('/api/session', express.json(), async (request, response) => {
  // Anybody may be anybody here; your application has a password, or whatever it has.
  const user = String(request.body?.user);
  if (!USER.test(user)) {
    response.status(400).send('A name is 1 to 32 small letters and digits.');
    return;
  }
  const cookie = await signed(cookieKey, user, '1d');
  response.cookie('session', cookie, { httpOnly: true, sameSite: 'lax' }).json(session(user));
});

// Whoever signs out says who it is: the cookie may be another's, who signed in from another tab.
app.delete('/api/session', async (request, response) => {
  const user = await signedIn(request);
  if (user === null || user === request.query.user) {
    response.clearCookie('session').json(session(null));
  } else {
    response.json(session(user));
  }
});

app.post('/api/token', async (request, response) => {
  const user = await signedIn(request);
  if (user === null || user !== request.query.user) {
    response.status(204).end();
  } else {
    response.type('text').send(await signed(tokenKey, user, '5m'));
  }
});

// What pages send comes here, once or, after a failure, again under the same key.
app.post('/api/webhook', express.text({ type: '*/*', limit: '1mb' }), async (request, response) => {
  let sent;
  try {
    sent = webhook.verify(request.body, request.headers);
  } catch {
    response.status(401).end();
    return;
  }
  const { user: from, message } = sent;
  const { to, text } = message;
  if (!USER.test(String(to)) || typeof text !== 'string') {
    const error = { code: 'rejected', message: 'A note has a name it goes to, and a text.' };
    response.status(400).json({ error });
    return;
  }
  for (const reader of new Set([to, from])) {
    const note = { type: 'note_new', from, to, text };
    await publish(reader, `${request.get('idempotency-key')}/${reader}`, note);
  }
  response.status(204).end();
});

async function publish(user, key, message) {
  const mailbox = `${options.tetherline}/v1/users/${encodeURIComponent(user)}`;
  const response = await globalThis.fetch(`${mailbox}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'idempotency-key': key },
    body: JSON.stringify(message),
  });
  if (!response.ok) {
    throw new Error(`Publishing failed with ${response.status}.`);
  }
}

function session(user) {
  return { user, tetherline: options.tetherline };
}

function signed(key, user, lifetime) {
  const token = new SignJWT().setSubject(user).setProtectedHeader({ alg: 'HS256' });
  return token.setIssuedAt().setExpirationTime(lifetime).sign(key);
}

async function signedIn(request) {
  const [, cookie] = /(?:^|; )session=([^;]*)/.exec(request.headers.cookie ?? '') ?? [];
  try {
    return (await jwtVerify(cookie ?? '', cookieKey)).payload.sub ?? null;
  } catch {
    return null;
  }
}

if (options.dev) {
  const { createServer } = await import('vite');
  app.use((await createServer({ server: { middlewareMode: true } })).middlewares);
} else {
  const { origin } = new URL(options.tetherline);
  const policy = [
    "default-src 'self'",
    // The engine is WebAssembly.
    "script-src 'self' 'wasm-unsafe-eval'",
    // The WebSocket, and the same address asked why one did not open.
    `connect-src 'self' ${origin} ${origin.replace(/^http/, 'ws')}`,
  ];
  app.use(
    express.static('dist', {
      setHeaders: (response) => response.setHeader('Content-Security-Policy', policy.join('; ')),
    }),
  );
}

const { hostname, port } = new URL(`http://${options.listen}`);
app.listen(Number(port), hostname, (error) => {
  if (error) {
    throw error;
  }
  console.log(`open http://${options.listen}`);
});
