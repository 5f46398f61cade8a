// A backend that refuses what the library of Standard Webhooks does not verify.
//
//   node verifying.mjs SECRET_FILE

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { Webhook } from 'standardwebhooks';

/** When it is needed: the server makes it at its first start. A secret of before is the key itself. */
function webhook() {
  const secret = readFileSync(process.argv[2], 'utf8').trim();
  return secret.startsWith('whsec_')
    ? new Webhook(secret)
    : new Webhook(Buffer.from(secret), { format: 'raw' });
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    try {
      webhook().verify(Buffer.concat(chunks).toString(), request.headers);
      response.writeHead(204).end();
    } catch ({ message }) {
      response.writeHead(401).end(JSON.stringify({ error: { code: 'forged', message } }));
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
