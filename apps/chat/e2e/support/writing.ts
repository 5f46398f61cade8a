import type { ServerResponse } from 'node:http';

/** One answer of the scripted provider, as server-sent events that a test writes. */
export class Writing {
  /** Settles when nobody reads any more: it has ended, or the chat has hung up. */
  readonly closed: Promise<void>;
  readonly #response: ServerResponse;
  #text = '';

  constructor(
    readonly question: string,
    response: ServerResponse,
  ) {
    this.#response = response;
    this.closed = new Promise((resolve) => response.once('close', resolve));
    response.setHeader('content-type', 'text/event-stream');
    response.flushHeaders();
  }

  /** All that was written. */
  get text(): string {
    return this.#text;
  }

  write(text: string): void {
    this.#text += text;
    this.#event({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] });
  }

  end(reason: 'stop' | 'length' = 'stop'): void {
    this.#event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
    this.#response.end('data: [DONE]\n\n');
  }

  #event(data: object): void {
    if (!this.#response.destroyed) this.#response.write(`data: ${JSON.stringify(data)}\n\n`);
  }
}
