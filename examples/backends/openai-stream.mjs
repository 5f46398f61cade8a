// Pipes what an OpenAI-compatible model says into an answer that grows on a user's screens.
//
//   node openai-stream.mjs USER 'Why is the sky blue?'

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [user, prompt] = process.argv.slice(2);
const { env } = process;
const streams = `${env.TETHERLINE_URL}/v1/users/${user}/streams`;
const apiKey = readFileSync(env.TETHERLINE_API_KEY_FILE, 'utf8').trim();
let said = '';
let ending = null;
let wake = () => {};

async function call(method, url, body, key = apiKey, type = 'application/json') {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': type };
  const response = await fetch(url, { method, headers, body, duplex: 'half' });
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`);
  return response;
}

const line = (fields) => Buffer.from(`${JSON.stringify(fields)}\n`);

/** Has `said` grow until the model is done. */
async function listen() {
  const messages = [{ role: 'user', content: prompt }];
  const question = line({ model: env.CHAT_MODEL, stream: true, messages });
  const url = `${env.OPENAI_BASE_URL}/chat/completions`;
  const { body } = await call('POST', url, question, env.OPENAI_API_KEY);
  let rest = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split('\n');
    rest = events.pop();
    for (const event of events.filter((event) => event.startsWith('data:'))) {
      const data = event.slice('data:'.length).trim();
      if (data === '[DONE]') return;
      const { error, choices } = JSON.parse(data);
      if (error) throw new Error(JSON.stringify(error));
      said += (choices ?? []).map(({ delta }) => delta?.content ?? '').join('');
      wake();
    }
  }
  throw new Error('The model broke off.');
}

/** The text from `offset` on, each new piece as it comes, and how it ended. */
async function* lines(offset) {
  while (offset < said.length || !ending) {
    const text = said.slice(offset);
    offset += text.length;
    if (text) yield line({ text });
    else await new Promise((resolve) => (wake = resolve));
  }
  yield line(ending);
}

const opened = await (await call('POST', streams, '{}')).json();
const answer = `${streams}/${opened.message_uuid}`;
const attempt = `${answer}/${opened.attempt}`;
const failed = ({ message }) => ({ status: 'failed', message: { error: message } });
void listen()
  .then(() => ({ status: 'complete' }), failed)
  .then((how) => {
    ending = how;
    wake();
  });

for (let tries = 0; ; tries += 1) {
  try {
    const state = await (await call('GET', answer)).json();
    if (state.phase === 'stopping') {
      await call('DELETE', attempt);
    } else if (state.phase === 'open' && state.attempt === opened.attempt) {
      const url = `${attempt}/text?offset=${state.next_offset}`;
      await call('POST', url, lines(state.next_offset), apiKey, 'application/x-ndjson');
    }
    break; // It is written, or somebody stopped it or began anew.
  } catch {
    // The request was refused or broke: look how far it got, and go on from there.
    await sleep(Math.min(100 * 2 ** tries, 5_000));
    if (tries === 20) {
      await call('POST', `${attempt}/finish`, line({ status: 'failed' }));
      break;
    }
  }
}
process.exit(); // The model may go on: nobody listens any more.
