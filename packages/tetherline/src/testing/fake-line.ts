/** What the fake network does to frames on their way to the client. */
export interface FakeNetwork {
  /** How long each frame takes, in ms. Default: 0. */
  delayMs: number;
  /** So many of the next frames never arrive. */
  loseNext: number;
  /** So many of the next frames arrive twice. */
  duplicateNext: number;
  /** So many of the next frames arrive behind the one after them. */
  delayNext: number;
}

/**
 * Carries things to the client in their order. What takes no time arrives at once, unless the
 * client is itself in the middle of a call: then right after it, as with a real socket.
 */
export class Line {
  readonly #network: FakeNetwork;
  readonly #queue: { isDue: boolean; readonly arrive: () => void }[] = [];
  #delayed: (() => void) | null = null;
  #isInClient = false;
  #isSilent = false;

  constructor(network: FakeNetwork) {
    this.#network = network;
  }

  /** Nothing arrives any more. */
  silence(): void {
    this.#isSilent = true;
    this.#queue.length = 0;
    this.#delayed = null;
  }

  /** What arrives instead of everything that is under way, and last of all. */
  interrupt(arrive: () => void): void {
    this.silence();
    if (this.#isInClient) {
      void Promise.resolve().then(arrive);
    } else {
      this.duringCall(arrive);
    }
  }

  /** A frame, to which the network may do something. */
  frame(arrive: () => void): void {
    const network = this.#network;
    if (network.loseNext > 0) {
      network.loseNext -= 1;
      return;
    }
    const delayed = this.#delayed;
    if (!delayed && network.delayNext > 0) {
      network.delayNext -= 1;
      this.#delayed = arrive;
      return;
    }
    this.carry(arrive);
    if (network.duplicateNext > 0) {
      network.duplicateNext -= 1;
      this.carry(arrive);
    }
    if (delayed) {
      this.#delayed = null;
      this.carry(delayed);
    }
  }

  carry(arrive: () => void): void {
    if (this.#isSilent) {
      return;
    }
    const entry = { isDue: false, arrive };
    this.#queue.push(entry);
    const due = () => {
      entry.isDue = true;
      this.#flush();
    };
    if (this.#network.delayMs > 0) {
      setTimeout(due, this.#network.delayMs);
    } else if (this.#isInClient) {
      void Promise.resolve().then(due);
    } else {
      due();
    }
  }

  /** What is carried meanwhile waits until the client has finished its call. */
  duringCall(action: () => void): void {
    const wasInClient = this.#isInClient;
    this.#isInClient = true;
    try {
      action();
    } finally {
      this.#isInClient = wasInClient;
    }
  }

  #flush(): void {
    while (!this.#isInClient && this.#queue[0]?.isDue) {
      const entry = this.#queue.shift();
      this.duringCall(() => entry?.arrive());
    }
  }
}
