import { inspector } from '../page/tap.js';
import type { Handler, HandlersOf, Message, MessageMeta } from '../types.js';

interface Registration {
  readonly handler: Handler;
  isActive: boolean;
}

export type Registrations = readonly Registration[];

const NONE: Registrations = [];

/** What handlers return that is awaited. */
export type Promises = readonly PromiseLike<unknown>[];

export const NO_PROMISES: Promises = [];

/** In the place of a type: handlers of every message. No message has it as its type. */
export const EVERY_TYPE = '*';

/** Which handlers a message type has: any number, called in the order of registration. */
export class Handlers {
  // The lists are replaced, never changed: whoever iterates over one is safe.
  readonly #byType = new Map<string, Registrations>();
  /** The handlers of every message, as of now. */
  observers = NONE;
  /** How many hold a type. */
  readonly #holds = new Map<string, number>();

  /** The handlers of a type, as of now. */
  of(type: string): Registrations {
    return this.#byType.get(type) ?? NONE;
  }

  /** Whether messages of this type wait for a handler that is to come. */
  isHeld(type: string): boolean {
    return this.#holds.has(type);
  }

  hold(types: readonly string[]): () => void {
    types.forEach((type) => this.#holds.set(type, (this.#holds.get(type) ?? 0) + 1));
    let isHolding = true;
    return () => {
      if (isHolding) {
        isHolding = false;
        types.forEach((type) => this.#release(type));
      }
    };
  }

  add<Type extends string>(handlers: HandlersOf<Type>): () => void {
    const added = Object.entries(checked(handlers)).map(([type, handler]) => {
      const registration = { handler, isActive: true };
      this.#set(type, [...this.of(type), registration]);
      return { type, registration };
    });
    return () => {
      for (const { type, registration } of added) {
        this.#remove(type, registration);
      }
    };
  }

  /** For every entry, takes away the latest registration of that function. */
  remove<Type extends string>(handlers: HandlersOf<Type>): void {
    for (const [type, handler] of Object.entries(checked(handlers))) {
      const registration = this.of(type)
        .filter((candidate) => candidate.handler === handler)
        .at(-1);
      if (registration) {
        this.#remove(type, registration);
      }
    }
  }

  #release(type: string): void {
    const others = (this.#holds.get(type) ?? 0) - 1;
    if (others > 0) {
      this.#holds.set(type, others);
    } else {
      this.#holds.delete(type);
    }
  }

  #remove(type: string, registration: Registration): void {
    registration.isActive = false;
    this.#set(
      type,
      this.of(type).filter((other) => other !== registration),
    );
  }

  #set(type: string, registrations: Registrations): void {
    if (registrations.length > 0) {
      this.#byType.set(type, registrations);
    } else {
      this.#byType.delete(type);
    }
    this.observers = this.of(EVERY_TYPE);
  }
}

/**
 * Calls every handler, whatever the others do. Those that are unregistered meanwhile, and all of
 * them once `session` is over, are left out. Answers the promises that were returned.
 *
 * This runs for every message: no closures, no arrays without need.
 */
export function callHandlers(
  registrations: Registrations,
  message: Message,
  meta: MessageMeta,
  session: { readonly isLive: boolean },
  report: { handlerFailed(error: unknown, message: Message): void },
): Promises {
  let promises = NO_PROMISES;
  for (const registration of registrations) {
    if (!registration.isActive || !session.isLive) {
      continue;
    }
    try {
      const { handler } = registration;
      const { tap } = inspector;
      const result = tap ? tap.call(handler, message, meta) : handler(message, meta);
      if (result !== undefined && isPromise(result)) {
        promises = promises.concat([result]);
      }
    } catch (error) {
      report.handlerFailed(error, message);
    }
  }
  return promises;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}

function checked(handlers: object): Record<string, Handler> {
  const given: unknown = handlers;
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(
      `Tetherline: handlers are an object of functions by message type, not ${String(given)}.`,
    );
  }
  for (const [type, handler] of Object.entries(given)) {
    if (typeof handler !== 'function') {
      throw new TypeError(
        `Tetherline: the handler for "${type}" is not a function but ${String(handler)}.`,
      );
    }
  }
  return handlers as Record<string, Handler>;
}
