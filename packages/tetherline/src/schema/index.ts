import type { Message, MessageIssue, Messages } from '../index.js';
import type { StandardResult, StandardSchema } from './standard.js';

export type { StandardResult, StandardSchema } from './standard.js';

/** A schema per message type. */
export type Schemas = Readonly<Record<string, StandardSchema<object>>>;

/** What the schemas make of messages, by type. */
export type OutputsOf<Given extends Schemas> = {
  [Type in keyof Given]: Given[Type] extends StandardSchema<infer Output> ? Output : never;
};

/**
 * What {@link defineMessages} knows of messages, by type. Described for everybody, and so for handlers
 * everywhere: `interface MessageMap extends MessagesOf<typeof messages> {}`.
 */
export type MessagesOf<Defined extends Messages> =
  Defined extends Messages<infer Own> ? Own : never;

/**
 * Message types by schema, for `createClient({ messages })`, `<WebSocketInitializer messages>` and
 * `createTetherline(messages)`: handlers know the fields, and only ever get messages that have them.
 *
 * A schema sees the whole message, `type`, `id` and `seq` included. Handlers get the message with
 * what the schema made of its fields; those that it does not name stay as they are. A schema has to
 * answer at once, because messages are handed out in order.
 */
export function defineMessages<const Given extends Schemas>(
  schemas: Given,
): Messages<OutputsOf<Given>> {
  const byType = new Map(Object.entries<StandardSchema<object>>(schemas));
  return {
    read: (message, refuse) => {
      const schema = byType.get(message.type);
      if (!schema) {
        return message;
      }
      let result: StandardResult<object>;
      try {
        result = atOnce(schema['~standard'].validate(message));
      } catch (cause) {
        refuse(
          `The schema for "${message.type}" failed; the handlers of this message are not called.`,
          [{ message: cause instanceof Error ? cause.message : String(cause) }],
          cause,
        );
        return null;
      }
      if (result.issues) {
        refuse(sentence(message, result.issues), result.issues);
        return null;
      }
      return { ...message, ...result.value };
    },
  };
}

function atOnce<T>(result: T | PromiseLike<T>): T {
  if (typeof (result as PromiseLike<T>).then === 'function') {
    // Whatever comes of it later is of no use to anybody.
    (result as PromiseLike<T>).then(undefined, () => undefined);
    throw new TypeError('It answers with a promise; messages need a schema that answers at once.');
  }
  return result as T;
}

function sentence(message: Message, issues: readonly MessageIssue[]): string {
  const found = issues.map(({ message, path }) => {
    const place = path?.map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
    return place ? `${place}: ${message}` : message;
  });
  const which = typeof message.id === 'string' ? ` (id ${message.id})` : '';
  return (
    `A message of type "${message.type}"${which} is not as its schema has it, so its handlers ` +
    `are not called: ${found.join('; ')}`
  );
}
