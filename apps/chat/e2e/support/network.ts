import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * The network between browser and server: a TCP relay on a port of its own, whose faults are real
 * ones for both ends.
 */
export class Network {
  readonly #sockets = new Set<Socket>();
  readonly #webSockets = new Set<Socket>();
  #webSocketsOpened = 0;
  #server: Server | null = null;
  #port = 0;
  #frozen = false;
  #takesWebSockets = true;
  #target = 0;
  #answer: string | null = null;
  #answered = 0;

  /** A relay that leads nowhere yet. */
  static async open(): Promise<Network> {
    const network = new Network();
    await network.restore();
    return network;
  }

  leadTo(port: number): void {
    this.#target = port;
  }

  get origin(): string {
    return `http://127.0.0.1:${String(this.#port)}`;
  }

  /** WebSockets that lead through here now. */
  get webSockets(): number {
    return this.#webSockets.size;
  }

  /** WebSockets that were ever tried through here. */
  get webSocketsOpened(): number {
    return this.#webSocketsOpened;
  }

  /** Resets every connection and refuses new ones. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (server !== null) {
      server.close();
      await once(server, 'close');
    }
  }

  /** Carries no byte any more, in either direction, and says nothing about it. */
  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Carries pages and requests and no WebSocket, as some proxies do. */
  refuseWebSockets(): void {
    this.#takesWebSockets = false;
    for (const socket of this.#webSockets) socket.resetAndDestroy();
  }

  /** Answers every request itself, WebSockets' included, as a proxy does in the middle of a deploy. */
  answerInstead(status: string): void {
    const body = `<h1>${status}</h1>`;
    const head = `HTTP/1.1 ${status}\r\nContent-Type: text/html\r\nConnection: close\r\n`;
    this.#answer = `${head}Content-Length: ${String(body.length)}\r\n\r\n${body}`;
    this.#answered = 0;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** How many requests were answered so. */
  get answered(): number {
    return this.#answered;
  }

  /** Works again, on the same port. What was frozen stays dead, as behind a new NAT entry. */
  async restore(): Promise<void> {
    this.#takesWebSockets = true;
    this.#answer = null;
    if (this.#frozen) {
      this.#frozen = false;
      for (const socket of this.#sockets) socket.resetAndDestroy();
    }
    if (this.#server !== null) return;
    const server = createServer({ pauseOnConnect: true }, (near) => {
      this.#relay(near);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  #relay(near: Socket): void {
    const answer = this.#answer;
    if (answer !== null) {
      near.on('error', () => undefined);
      near.once('data', () => {
        this.#answered += 1;
        near.end(answer);
      });
      near.resume();
      return;
    }
    const far = connect(this.#target, '127.0.0.1');
    near.once('data', (bytes) => {
      if (!/^upgrade: websocket/im.test(bytes.toString('latin1'))) return;
      this.#webSocketsOpened += 1;
      this.#webSockets.add(near);
      near.on('close', () => this.#webSockets.delete(near));
      if (!this.#takesWebSockets) near.resetAndDestroy();
    });
    const ends = [near, far] as const;
    for (const [from, to] of [ends, [far, near] as const]) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => {
        if (!this.#frozen) from.resume();
      });
      from.on('end', () => to.end());
      // A reset is what this relay is for; the other end learns of it by 'close'.
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    if (!this.#frozen) near.resume();
    else far.pause();
  }
}
