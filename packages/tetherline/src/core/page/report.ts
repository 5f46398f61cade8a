import { TetherlineError } from '../errors.js';
import type { ClientOptions, Gap, Message, MessageMeta } from '../types.js';
import { isDevelopment } from './log.js';

/** Tells the application and the console what happened. Never throws. */
export class Reporter {
  readonly #options: ClientOptions;
  readonly #logger: NonNullable<ClientOptions['logger']>;
  readonly isDebugging: boolean;
  /** Types of which it was said that nobody handles them. */
  readonly #unhandledTypes = new Set<string>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#logger = options.logger ?? console;
    this.isDebugging = options.debug ?? isDevelopment();
  }

  debug(...what: unknown[]): void {
    if (this.isDebugging) {
      this.#logger.log(...what);
    }
  }

  problem(text: string, cause?: unknown): void {
    this.#logger.error(`Tetherline: ${text}`, ...(cause === undefined ? [] : [cause]));
  }

  /** The message as its handlers get it; null if it is not as its schema has it. */
  checked(message: Message): Message | null {
    const { messages } = this.#options;
    return messages
      ? messages.read(message, (text, issues, cause) => {
          this.problem(text, cause);
          this.tell(() => this.#options.onInvalidMessage?.(message, issues));
        })
      : message;
  }

  /** It found no handler, and counts as handled. */
  unhandled(message: Message, meta: MessageMeta): void {
    const { onUnhandled } = this.#options;
    if (onUnhandled) {
      this.tell(() => onUnhandled(message, meta));
    } else if (isDevelopment() && this.#isNews(message.type)) {
      this.#logger.warn(
        `Tetherline: A message of type "${message.type}" has found no handler and counts as handled. ` +
          'Register one, hold the type for one that comes later (`hold`), or take what is left with `onUnhandled`.',
      );
    }
  }

  /** A frame that nobody listens for, as is usual where it is not kept: said once per type. */
  unheard(type: string): void {
    if (this.isDebugging && this.#isNews(type)) {
      this.debug(`Nobody listens for what comes without a position, of type "${type}".`);
    }
  }

  /** A send has rejected, whether or not anybody looks at its promise. */
  notSent(sent: unknown, { code, message, ref }: TetherlineError): void {
    const type = String((sent as Message | undefined)?.type);
    this.debug(`A send was not taken: type ${type}, id ${ref ?? 'none'}, ${code}:`, message);
  }

  #isNews(type: string): boolean {
    return this.#unhandledTypes.size < this.#unhandledTypes.add(type).size;
  }

  handlerFailed(error: unknown, message: Message): void {
    this.problem(
      `A handler for "${message.type}" failed; the others were called all the same.`,
      error,
    );
    this.tell(() => this.#options.onHandlerError?.(error, message));
  }

  serverFailed(error: TetherlineError): void {
    this.#logger.warn(`Tetherline: The server reports ${error.code}: ${error.message}`);
    this.tell(() => this.#options.onServerError?.(error));
  }

  gap(gap: Gap): void {
    this.#logger.warn(
      `Tetherline: Messages after position ${gap.after} are not there any more; history has to be read anew.`,
    );
    this.tell(() => this.#options.onGap?.(gap));
  }

  handlerLate(message: Message): void {
    const text = `A handler for "${message.type}" has not settled in time; the message counts as handled.`;
    this.handlerFailed(new TetherlineError('handler_timeout', text), message);
  }

  identityRefused(user: string, isFinal: boolean): void {
    this.#logger.warn(
      isFinal
        ? 'Tetherline: `getToken` answers that nobody is signed in, so there is no connection.'
        : 'Tetherline: The server takes no token of this user; fresh ones are tried, slower and slower.',
    );
    this.tell(() => this.#options.onIdentityRefused?.(user, { isFinal }));
  }

  signedOutElsewhere(user: string): void {
    this.debug('Signed out in another tab');
    this.tell(() => this.#options.onSignedOutElsewhere?.(user));
  }

  /** Calls back into the application. What throws there stops nothing here. */
  tell(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.problem('A callback of the application failed.', error);
    }
  }
}
