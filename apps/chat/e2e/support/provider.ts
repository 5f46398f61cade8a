import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Reply = { text: string } | { status: number };

/** A scripted server with OpenAI's `POST /v1/chat/completions`, so that a test decides answers. */
export class ScriptedProvider {
  readonly #server: Server;
  #hold: Promise<void> = Promise.resolve();
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

  dispose(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as {
      messages: { role: string; content: string }[];
    };
    await this.#hold;
    const question = asked.messages.filter(({ role }) => role === 'user').at(-1)?.content ?? '';
    const reply = this.replies.shift() ?? { text: `You said: ${question}` };
    response.setHeader('content-type', 'application/json');
    if ('status' in reply) {
      response.statusCode = reply.status;
      response.end(JSON.stringify({ error: { message: 'The scripted provider refuses.' } }));
      return;
    }
    const message = { role: 'assistant', content: reply.text };
    response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }] }));
  }
}
