import type { Engine } from '../engine/engine.js';

/** The engine's numbers for messages' ids. Only that of the message at the page's position is kept. */
export class Ids {
  /** The text of the one at the page's position. */
  kept: string | null = null;
  #keptNumber = 0;
  #last = 0;
  /** Those of the frame that the engine is being told of. */
  #told: [number: number, id: string][] = [];

  number(id: unknown): number {
    if (typeof id !== 'string') {
      return 0;
    }
    if (id === this.kept) {
      return this.#keptNumber;
    }
    const known = this.#told.find(([, told]) => told === id)?.[0] ?? this.next(id);
    this.#told.push([known, id]);
    return known;
  }

  /** One for the id of a message, which comes once. */
  next(id: string | undefined): number {
    return id === undefined ? 0 : (this.#last += 1);
  }

  /** The page stands at this message now. */
  reached(number: number, id: string | undefined): void {
    this.#keptNumber = number;
    this.kept = id ?? null;
  }

  keep(engine: Engine): void {
    const number = engine.position_id();
    const told = this.#told.find(([known]) => known === number);
    if (told) {
      [this.#keptNumber, this.kept] = told;
    } else if (number !== this.#keptNumber) {
      this.#keptNumber = 0;
      this.kept = null;
    }
    this.#told = [];
  }

  text(number: number): string | null {
    return number !== 0 && number === this.#keptNumber ? this.kept : null;
  }
}
