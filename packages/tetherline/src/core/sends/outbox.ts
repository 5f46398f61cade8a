import * as NotTaken from '../../generated/engine/not-taken.js';
import * as Outcome from '../../generated/engine/outcome.js';
import {
  AUTHENTICATE,
  CLIENT_CONTROL,
  GET_PENDING,
  MESSAGE_STOP,
  OUTBOX_TTL_MS,
  OUTBOX_TTL_MS_MAX,
  SERVER_CONTROL,
  TYPE_BYTES_MAX,
} from '../../generated/protocol.js';
import type { Engine } from '../engine/engine.js';
import { TetherlineError } from '../errors.js';
import { isId } from '../identity.js';
import type { Accepted, KeptOutbox, KeptSend, OutgoingMessage } from '../types.js';
import { uuidv7 } from '../uuid.js';

/** A send that has not settled. Which ones go out when is the engine's business. */
export interface Unsettled extends KeptSend {
  readonly resolve: (accepted: Accepted) => void;
  readonly reject: (error: TetherlineError) => void;
  /** What the server said last about it. */
  refusal: TetherlineError | null;
  /** What the application answered. */
  answer?: unknown;
}

/** The texts of the sends that have not settled, by the engine's number and by id. */
export class Outbox {
  readonly byNumber = new Map<number, Unsettled>();
  readonly #numbers = new Map<string, number>();
  /** Where sends are kept over a reload, if they are. */
  kept: KeptOutbox | undefined;

  /** Hands a send to the engine. The same one again joins the first. */
  add(engine: Engine, unsettled: Unsettled, restored: number, now: number): void {
    const { id, text, ttlMs } = unsettled;
    const earlier = this.get(this.numberOf(id) ?? -1);
    if (earlier?.text === text) {
      earlier.settled.then(unsettled.resolve, unsettled.reject);
      return;
    }
    if (earlier) {
      unsettled.reject(
        new TetherlineError('conflict', 'Another message with this id is on its way.', { ref: id }),
      );
      return;
    }
    const number = engine.send(text.length, ttlMs, restored, now);
    if (number >= 0) {
      this.byNumber.set(number, unsettled);
      this.#numbers.set(id, number);
      this.kept?.put(unsettled);
    } else {
      unsettled.reject(number === NotTaken.OUTBOX_FULL ? outboxFull(id) : signedOut(id));
    }
  }

  get(number: number): Unsettled | undefined {
    return this.byNumber.get(number);
  }

  /** Whether this very send was refused so, or another one that will be repeated as well. */
  isRefused({ code, ref, retryable }: TetherlineError): boolean {
    const all = [...this.byNumber.values()];
    return all.some(({ id, refusal }) => refusal?.code === code && (retryable || id === ref));
  }

  numberOf(id: unknown): number | undefined {
    return typeof id === 'string' ? this.#numbers.get(id) : undefined;
  }

  /** Keeps what goes with a yes until the engine has settled the send, which it passes on. */
  answered(number: number, answer: unknown): number {
    const unsettled = this.byNumber.get(number);
    if (unsettled) {
      unsettled.answer = answer;
    }
    return number;
  }

  /** The engine is done with a send. */
  settle(number: number, outcome: number): void {
    const unsettled = this.byNumber.get(number);
    if (!unsettled) {
      return;
    }
    const { id, refusal } = unsettled;
    this.byNumber.delete(number);
    this.#numbers.delete(id);
    if (outcome === Outcome.ACCEPTED) {
      unsettled.resolve({ id, answer: unsettled.answer });
    } else {
      unsettled.reject(outcome === Outcome.SIGNED_OUT ? signedOut(id) : (refusal ?? expired(id)));
    }
  }
}

/** Checks a message and writes it. Throws a {@link TetherlineError}. */
export function prepare(message: OutgoingMessage, ttlMs = OUTBOX_TTL_MS): Unsettled {
  const given: unknown = message;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TetherlineError('bad_frame', 'A message is an object with a `type`.');
  }
  const { type, id = uuidv7(), ...fields } = message;
  checkType(type);
  const givenId: unknown = id;
  if (typeof givenId !== 'string' || !isId(givenId)) {
    throw new TetherlineError(
      'bad_frame',
      'The `id` of a message is 1 to 128 letters, digits and - . _ ~ (leave it out for a UUID).',
    );
  }
  if ('seq' in fields) {
    throw new TetherlineError('bad_frame', 'Only the server sets `seq`; leave it out.', {
      ref: id,
    });
  }
  if (!(ttlMs > 0 && ttlMs <= OUTBOX_TTL_MS_MAX)) {
    throw new TetherlineError(
      'bad_frame',
      `\`ttlMs\` is over 0 and at most ${OUTBOX_TTL_MS_MAX}.`,
      {
        ref: id,
      },
    );
  }
  return unsettled(id, write({ type, id, ...fields }, id), ttlMs);
}

/** What is over the limit, in bytes of UTF-8, is refused: the server would close the connection for it. */
export function tooLarge({ id, text }: Unsettled, bytesMax: number): TetherlineError | null {
  // No UTF-16 unit takes more than three bytes, so most messages need no counting.
  return text.length * 3 > bytesMax && new TextEncoder().encode(text).length > bytesMax
    ? new TetherlineError(
        'message_too_large',
        `The message is larger than the ${bytesMax} bytes that the server takes.`,
        { ref: id },
      )
    : null;
}

export function signedOut(id: string): TetherlineError {
  return new TetherlineError('signed_out', 'Nobody is signed in, so nothing can be sent.', {
    ref: id,
  });
}

function outboxFull(id: string): TetherlineError {
  return new TetherlineError('outbox_full', 'Too many messages wait to be sent; try again later.', {
    ref: id,
    retryable: true,
  });
}

export function expired(id: string): TetherlineError {
  // Whether the server has taken it is not known: only the same id again cannot double it.
  return new TetherlineError('expired', 'The message could not be sent in time.', {
    ref: id,
    retryable: true,
  });
}

function checkType(type: unknown): void {
  if (
    typeof type !== 'string' ||
    type.length > TYPE_BYTES_MAX ||
    !/^[A-Za-z0-9_\-.:/]+$/.test(type)
  ) {
    throw new TetherlineError(
      'bad_frame',
      "A message's `type` is a text of 1 to 64 letters, digits and _ - . : /",
    );
  }
  // The one of them that is a send.
  if (
    type !== MESSAGE_STOP &&
    ([...SERVER_CONTROL, ...CLIENT_CONTROL] as string[]).includes(type)
  ) {
    const instead =
      type === GET_PENDING
        ? ' Call `requestPending()` instead.'
        : type === AUTHENTICATE
          ? ' Tokens are renewed by themselves, through `getToken`.'
          : '';
    throw new TetherlineError(
      'bad_frame',
      `"${type}" is reserved for the protocol, which sends it by itself.${instead}`,
    );
  }
}

function write(message: Record<string, unknown>, id: string): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    throw new TetherlineError('bad_frame', `The message cannot be JSON: ${String(cause)}`, {
      ref: id,
      cause,
    });
  }
}

function unsettled(id: string, text: string, ttlMs: number): Unsettled {
  let resolve!: Unsettled['resolve'];
  let reject!: Unsettled['reject'];
  const settled = new Promise<Accepted>((onAccepted, onError) => {
    resolve = onAccepted;
    reject = onError;
  });
  return { id, text, ttlMs, settled, resolve, reject, refusal: null };
}
