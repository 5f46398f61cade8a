// Pipes what an OpenAI-compatible model says into an answer that grows on a user's screens.
//
//   node openai-stream.mjs USER 'Why is the sky blue?'

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [user, prompt] = process.argv.slice(2);
const { env } = process;
const streams = `${env.TETHERLINE_URL}/v1/users/${encodeURIComponent(user)}/streams`;
const apiKey = readFileSync(env.TETHERLINE_API_KEY_FILE, 'utf8').trim();

async function post(url, body, key = apiKey) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  return await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

/** Until there is an answer: with its `offset`, a piece that comes twice is added once. */
async function say(url, body, tries = 0) {
  const answer = await post(url, body).catch(() => ({ status: 503 }));
  if (answer.status < 500) return answer;
  if (tries === 20) throw new Error('Tetherline cannot be reached.');
  await sleep(Math.min(100 * 2 ** tries, 5_000));
  return await say(url, body, tries + 1);
}

/** What the model says, piece by piece. */
async function* model() {
  const question = {
    model: env.CHAT_MODEL,
    stream: true,
    messages: [{ role: 'user', content: prompt }],
  };
  const { ok, status, body } = await post(
    `${env.OPENAI_BASE_URL}/chat/completions`,
    question,
    env.OPENAI_API_KEY,
  );
  if (!ok) throw new Error(`The model answered ${status}.`);
  let rest = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split('\n');
    rest = events.pop();
    for (const event of events.filter((event) => event.startsWith('data:'))) {
      const data = event.slice('data:'.length).trim();
      if (data === '[DONE]') return;
      const { error, choices } = JSON.parse(data);
      if (error) throw new Error(JSON.stringify(error));
      yield (choices ?? []).map(({ delta }) => delta?.content ?? '').join('');
    }
  }
  throw new Error('The model broke off.');
}

const { message_uuid, attempt } = await (await say(streams, {})).json();
const answer = `${streams}/${message_uuid}/${attempt}`;
let [offset, ending] = [0, { status: 'complete' }];
try {
  for await (const text of model()) {
    const added = await say(`${answer}/text`, { text, offset });
    if (!added.ok) break; // Somebody stopped it, or began anew.
    offset = (await added.json()).next_offset;
  }
} catch ({ message }) {
  ending = { status: 'failed', message: { error: message } };
}
await say(`${answer}/finish`, ending);
process.exit(); // The model may go on: nobody listens any more.
