import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Writing } from './writing.ts';

type Reply = { text: string } | { status: number };

interface Asked {
  messages: { role: string; content: string }[];
  stream?: boolean;
}

/** A scripted server with OpenAI's `POST /v1/chat/completions`, so that a test decides answers. */
export class ScriptedProvider {
  readonly #server: Server;
  #hold: Promise<void> = Promise.resolve();
  readonly #writers: ((writing: Writing) => void)[] = [];
  /** The next replies; when there are none left, the question is repeated. */
  readonly replies: Reply[] = [];

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async open(): Promise<ScriptedProvider> {
    const provider = new ScriptedProvider();
    provider.#server.listen(0, '127.0.0.1');
    await once(provider.#server, 'listening');
    return provider;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}/v1`;
  }

  /** Holds every answer back until the function that this returns is called. */
  hold(): () => void {
    let release = (): void => undefined;
    this.#hold = new Promise((resolve) => {
      release = resolve;
    });
    return () => {
      release();
    };
  }

  /** The next question that comes is answered by the test itself, piece by piece. */
  next(): Promise<Writing> {
    return new Promise((resolve) => this.#writers.push(resolve));
  }

  dispose(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
    const question = asked.messages.filter(({ role }) => role === 'user').at(-1)?.content ?? '';
    const writer = this.#writers.shift();
    if (writer !== undefined) {
      writer(new Writing(question, response));
      return;
    }
    await this.#hold;
    const reply = this.replies.shift() ?? { text: `You said: ${question}` };
    if ('status' in reply) {
      response.setHeader('content-type', 'application/json');
      response.statusCode = reply.status;
      response.end(JSON.stringify({ error: { message: 'The scripted provider refuses.' } }));
      return;
    }
    const writing = new Writing(question, response);
    for (const word of reply.text.split(/(?<= )/)) writing.write(word);
    writing.end();
  }
}
