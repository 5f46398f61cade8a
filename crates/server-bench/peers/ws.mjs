// Node's `ws`: POST /publish/{user} goes to every socket of that user, and nothing is kept.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const BACKLOG = 4_096;
const PUBLISH = '/publish/';
const SUBSCRIBE = '/ws/user/';

const users = new Map();
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

const server = createServer((request, response) => {
  if (request.method !== 'POST' || !request.url.startsWith(PUBLISH)) {
    response.writeHead(404).end();
    return;
  }
  const user = request.url.slice(PUBLISH.length);
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    for (const socket of users.get(user) ?? []) {
      socket.send(body, { binary: false });
    }
    response.writeHead(202, { 'Content-Length': 0 }).end();
  });
});

server.on('upgrade', (request, stream, head) => {
  if (!request.url.startsWith(SUBSCRIBE)) {
    stream.destroy();
    return;
  }
  const user = request.url.slice(SUBSCRIBE.length).split('?')[0];
  sockets.handleUpgrade(request, stream, head, (socket) => {
    stream.setNoDelay(true);
    const own = users.get(user) ?? new Set();
    users.set(user, own.add(socket));
    socket.on('error', () => {});
    socket.on('close', () => {
      own.delete(socket);
      if (own.size === 0 && users.get(user) === own) {
        users.delete(user);
      }
    });
  });
});

server.keepAliveTimeout = 60_000;
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: BACKLOG });
