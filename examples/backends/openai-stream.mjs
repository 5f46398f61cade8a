// Pipes what an OpenAI-compatible model says into a stream on a user's screens.
//
//   node openai-stream.mjs USER 'Why is the sky blue?'

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [user, prompt] = process.argv.slice(2);
const { env } = process;
const streams = `${env.TETHERLINE_URL}/v1/users/${encodeURIComponent(user)}/streams`;
const apiKey = readFileSync(env.TETHERLINE_API_KEY_FILE, 'utf8').trim();
const cuts = { length: 'length', max_tokens: 'length', content_filter: 'content_filter' };
const later = [408, 429, 500, 502, 503, 504];

async function post(url, body, key = apiKey) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  const redirect = 'manual'; // What is said here is for nobody else.
  return await fetch(url, { method: 'POST', redirect, headers, body: JSON.stringify(body) });
}

// ---- The model ----

let isCut = false;

/** Its lines, whatever they end with. */
async function* lines(body) {
  let rest = '';
  try {
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const whole = (rest + text).split(/\r\n|\n|\r(?!$)/);
      rest = whole.pop();
      yield* whole;
    }
    yield* [rest.trimEnd(), ''];
  } catch {
    isCut = true;
  }
}

/** The JSON of its events. A server that does not stream sends one, and nothing around it. */
async function* events(body) {
  let [data, whole] = ['', ''];
  for await (const line of lines(body)) {
    if (whole || /^\s*\{/.test(line)) {
      whole += line;
    } else if (line.startsWith('data:')) {
      data += `${line.slice('data:'.length)}\n`;
    } else if (line === '' && data.trim()) {
      yield data;
      data = '';
    }
  }
  if (whole) yield* [whole, '[DONE]'];
}

/** A whole message behind its pieces repeats them. Content may be in parts. */
function words({ delta, message, text }, hasSpoken) {
  const content = (delta ?? (hasSpoken ? undefined : message))?.content ?? text ?? '';
  return typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('');
}

/** What it says, piece by piece, to its end: some give their reason to end early, or with every piece. */
async function* model() {
  const messages = [{ role: 'user', content: prompt }];
  const question = { model: env.CHAT_MODEL, stream: true, messages };
  const url = `${env.OPENAI_BASE_URL}/chat/completions`;
  const { status, body } = await post(url, question, env.OPENAI_API_KEY);
  if (status !== 200) throw new Error(`The model refused to answer (HTTP ${status}).`);
  let [hasSpoken, half, reason, wentOn] = [false, '', undefined, false];
  for await (const data of events(body)) {
    if (data.trim() === '[DONE]') {
      [reason, isCut] = [reason ?? '', false];
      break;
    }
    const { error, object, choices } = JSON.parse(data);
    if (error || object === 'error') throw new Error(error ? JSON.stringify(error) : data);
    for (const choice of (choices ?? []).slice(0, 1)) {
      let text = half + words(choice, hasSpoken);
      half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? ''; // The other half comes with the next piece.
      text = text.slice(0, text.length - half.length).toWellFormed();
      if (text) yield text;
      hasSpoken ||= text.trim() !== '';
      const given = choice.finish_reason;
      if (text && !given) reason = undefined;
      else if (given != null) [wentOn, reason] = [text && reason !== undefined, given];
    }
  }
  if (half) yield '\ufffd';
  if (reason === undefined || (isCut && wentOn)) throw new Error('The model broke off.');
  if (!hasSpoken) throw new Error(`The model said nothing (${reason}).`);
  if (reason in cuts) ending.message = { finish_reason: cuts[reason] };
}

/** The same, and how it ended. */
async function* heard() {
  try {
    yield* model();
  } catch ({ message }) {
    ending = { status: 'failed', message: { error: message } };
  }
}

// ---- The answer ----

/**
 * What Tetherline says to it, or why it `refused`. A proxy's page is no answer, and no more is "later": it is said
 * again. With its `offset`, a piece that comes twice is added once.
 */
async function tell(path, body) {
  let problem;
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      const response = await post(streams + path, body);
      const { status } = response;
      const said = await response.json();
      if (response.ok) return said;
      problem = `HTTP ${status}`;
      const { code, reason } = said.error;
      if (code && !later.includes(status)) return { ...said.error, refused: reason ?? code };
    } catch ({ message }) {
      problem = message;
    }
    await sleep(Math.min(100 * 2 ** tries, 5_000));
  }
  throw new Error(`Tetherline cannot be reached: ${problem}.`);
}

/** What is over already stays as it is; any other no leaves an answer that nobody writes on. */
function accept(refused) {
  if (refused && !['stopped', 'finished', 'superseded'].includes(refused)) {
    throw new Error(`Tetherline refused the answer: ${refused}.`);
  }
}

const name = randomUUID(); // A name of ours: opening it can be repeated.
const opened = await tell('', { message_uuid: name });
const answer = `/${name}/${opened.attempt}`;
let ending = { status: 'complete' };
let [said, offset, refused] = ['', 0, opened.refused];

if (!refused) {
  model: for await (const piece of heard()) {
    said += piece;
    while (offset < said.length) {
      const added = await tell(`${answer}/text`, { text: said.slice(offset), offset });
      ({ refused } = added);
      // Where it was restored from a backup it goes on from there.
      if (refused && refused !== 'gap' && refused !== 'overlap') break model;
      offset = added.next_offset;
    }
  }
}
if (refused === 'message_too_large') {
  ending = { status: 'complete', message: { finish_reason: 'length' } };
} else {
  accept(refused);
}
accept((await tell(`${answer}/finish`, ending)).refused);
process.exit(); // The model may go on: nobody listens any more.
