// Socket.IO 4: a room for each user, and what somebody missed within two minutes is kept in memory.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const BACKLOG = 4_096;
const PUBLISH = '/publish/';

const server = createServer();
const io = new Server(server, {
  transports: ['websocket'],
  serveClient: false,
  connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
});
io.on('connection', (socket) => socket.join(socket.handshake.auth.user));

// Socket.IO answers its own requests and leaves the others.
server.on('request', (request, response) => {
  if (request.method !== 'POST' || !request.url.startsWith(PUBLISH)) {
    return;
  }
  const user = request.url.slice(PUBLISH.length);
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    io.to(user).emit('m', Buffer.concat(parts).toString());
    response.writeHead(202, { 'Content-Length': 0 }).end();
  });
});

server.keepAliveTimeout = 60_000;
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: BACKLOG });
