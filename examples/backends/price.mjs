// A webhook that answers a question: what a send of type `price_asked` is answered with.
//
//   node price.mjs mailbox/webhook.secret 8500
//   tetherline serve --data mailbox --webhook-url http://127.0.0.1:8500/
//
// A 2xx whose body is JSON is the `answer` that `await send({ type: 'price_asked', sku })` resolves with.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [secretFile, port = '0'] = process.argv.slice(2);
const BODY_BYTES_MAX = 1024 * 1024;
const TIMESTAMP_SECONDS_MAX = 300;
const PRICES = { tea: '2.40', coffee: '3.10' };

const server = createServer((request, response) => {
  // A client that goes away half-way, or a secret that is not there yet, ends this request and nothing else.
  handle(request, response).catch((problem) => {
    console.error(problem.message);
    response.writeHead(500).end();
  });
});

async function handle(request, response) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return void request.destroy();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  // Without a reason of ours it is no refusal: the server may have a newer secret, and asks again.
  if (!isSigned(request.headers, body)) return void response.writeHead(401).end();
  const [status, answer] = answerTo(JSON.parse(body.toString()).message);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}

function answerTo({ type, sku }) {
  if (type !== 'price_asked') {
    return [422, { error: { code: 'unknown_type', message: 'Only prices are known here.' } }];
  }
  return [200, { price: Object.hasOwn(PRICES, sku) ? PRICES[sku] : null }];
}

/** As Standard Webhooks has it. The server makes the secret when it starts, so it is read when it is needed. */
function isSigned(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': given } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) < TIMESTAMP_SECONDS_MAX)) return false;
  const key = Buffer.from(readFileSync(secretFile, 'utf8').trim().slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${mac.digest('base64')}`);
  const signature = Buffer.from(given ?? '');
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
