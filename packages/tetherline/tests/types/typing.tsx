// Checked by `npm run typecheck`, never run: what compiles here is what the README promises, and
// every `@ts-expect-error` is a mistake that has to be found.
import type { Component, ReactNode } from 'react';
import { useEffect } from 'react';

import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';

import {
  type Client,
  type ClientOf,
  createClient,
  type HandlerMap,
  type Message,
  PONG,
} from '../../src/index.js';
import {
  createTetherline,
  useWebSocketContext,
  useWebSocketHandlers,
  WebSocketInitializer,
  type WebSocketProps,
  withWebSocket,
} from '../../src/react/index.js';
import { defineMessages } from '../../src/schema/index.js';

interface Poll {
  question: string;
}

declare module '../../src/index.js' {
  interface MessageMap {
    notification_new: { title: string };
    poll_new: Poll;
  }
}

declare const client: Client;
declare const typeAtRunTime: string;
declare function wantsAnything(value: unknown): void;
declare function wantsString(text: string): void;
declare function wantsMessage(message: Message): void;
declare function wantsNumber(number: number): void;

// Parameters need no annotation; described types have their fields, others unknown ones.
client.on({
  notification_new: (message, meta) => {
    wantsString(message.title);
    wantsMessage(message);
    // @ts-expect-error a title is no number
    wantsNumber(message.title);
    // A field that nobody has described was `unknown`, and so was nothing to complain of.
    // @ts-expect-error nobody described this field
    wantsAnything(message.titel);
    const literal: 'notification_new' = message.type;
    wantsString(literal);
    // @ts-expect-error only mailbox messages have a position
    wantsNumber(meta.seq);
  },
  pending_check_complete: (message) => wantsNumber(message.data.delivered),
  anything_else: (message) => {
    wantsMessage(message);
    // @ts-expect-error nobody described this field
    wantsString(message.title);
  },
  async_one: async () => Promise.resolve(),
});

// Constants keep their types; a type that is known only at run time wants the parameter's.
client.on({ [PONG]: (message) => wantsString(message.server_time) });
client.on({ [typeAtRunTime]: (message: Message) => wantsString(message.type) });

// A handler may ask for less, or for a message of its own shape.
client.on({
  notification_new: (message: { title: string }) => message.title,
  other: (message: Message & { a: number }) => message.a,
  none: () => undefined,
});
// @ts-expect-error a handler is a function
client.on({ notification_new: 'nope' });

// The type of a message that is described by an interface, which has no index signature.
client.on({ poll_new: (message) => wantsMessage(message) });
const handlers: HandlerMap = { notification_new: (message) => wantsString(message.title) };
client.on(handlers);
client.off(handlers);

void client.send({ type: 'a', anything: 1 }).then(({ id }) => wantsString(id));
// @ts-expect-error a message has a type
void client.send({ anything: 1 });

// As in the quick start: no annotations, the cleanup returned from the effect.
export function Quick(): ReactNode {
  const { isConnected, registerHandlers } = useWebSocketContext();
  useEffect(() => {
    return registerHandlers({
      message_generate: (msg) => {
        console.log('AI message received:', msg);
      },
    });
  }, [registerHandlers]);
  return isConnected ? '🟢 Connected' : '🔴 Disconnected';
}

export function Typed(): ReactNode {
  useWebSocketHandlers({
    notification_new: (message) => {
      const literal: 'notification_new' = message.type;
      // @ts-expect-error nobody described this field
      wantsAnything(message.titel);
      return literal;
    },
  });
  return null;
}

interface Props {
  websocket: WebSocketProps;
  title: string;
}
declare const Container: React.FC<Props>;
declare class Panel extends Component<Props> {
  focus(): void;
}
const Wrapped = withWebSocket(Container);
const WrappedPanel = withWebSocket(Panel);
declare const panelRef: React.RefObject<Panel | null>;
export const good = [
  <Wrapped key="1" title="Chat" />,
  <WrappedPanel key="2" title="Chat" ref={panelRef} />,
];
export const bad = [
  // @ts-expect-error the title is still the caller's to give
  <Wrapped key="1" />,
  // @ts-expect-error a component that takes no `websocket` has no use for it
  withWebSocket((_props: { title: string }) => null),
  // @ts-expect-error without a client, a token callback is needed
  <WebSocketInitializer key="3" user="ann" />,
];

// Type parameters of a component and its default props did not outlive being wrapped.
interface ListProps<T> {
  websocket: WebSocketProps;
  items: readonly T[];
  onPick: (item: T) => void;
}
declare function List<T>(props: ListProps<T>): ReactNode;
const WrappedList = withWebSocket(List);
export const generic = [
  <WrappedList key="1" items={[1, 2]} onPick={(item) => wantsNumber(item)} />,
  // @ts-expect-error it picks one of the items, which are numbers
  <WrappedList key="3" items={[1, 2]} onPick={(item: string) => item} />,
];
declare class Titled extends Component<Props> {
  static defaultProps: { title: string };
  focus(): void;
}
declare const Named: React.FC<Props> & { defaultProps: { title: string } };
const WrappedTitled = withWebSocket(Titled);
const WrappedNamed = withWebSocket(Named);
declare const titledRef: React.RefObject<Titled | null>;
export const defaulted = [
  <WrappedTitled key="1" ref={titledRef} />,
  <WrappedTitled key="2" title="Chat" />,
  <WrappedNamed key="3" />,
  // @ts-expect-error a title is a text
  <WrappedTitled key="4" title={1} />,
];

// Types of one's own, without declaring them for everybody; the others are known as before.
const own = createClient<{ order_paid: { total: number } }>({ getToken: () => '' });
own.on({
  order_paid: (message, meta) => {
    wantsNumber(message.total);
    wantsString(message.type);
    // @ts-expect-error the total is no text
    wantsString(message.total);
    // @ts-expect-error nobody described this field
    wantsAnything(message.sum);
    const literal: 'order_paid' = message.type;
    wantsString(literal);
    // @ts-expect-error it may be a message without a position
    wantsNumber(meta.seq);
  },
  notification_new: (message) => wantsString(message.title),
  pong: (message) => wantsString(message.server_time),
  anything_else: (message) => wantsMessage(message),
});
// It will do wherever a client is asked for.
export const plain: Client = own;
export const withoutTypes: Client = createClient({ getToken: () => '' });

// Any library of Standard Schema; handlers know what comes out of it.
const messages = defineMessages({
  of_zod: z.object({ at: z.string().transform((text) => new Date(text)) }),
  of_valibot: v.object({ total: v.number() }),
  of_arktype: type({ name: 'string' }),
});
const checked = createClient({ messages, getToken: () => '' });
checked.on({
  of_zod: (message) => wantsNumber(message.at.getTime()),
  of_valibot: (message) => wantsNumber(message.total),
  of_arktype: (message) => wantsString(message.name),
});
export const same: ClientOf<{ of_valibot: { total: number } }> = checked;
// @ts-expect-error a message is an object
defineMessages({ text: z.string() });

// The bindings know them, too.
const bindings = createTetherline(messages);
export function Bound(): ReactNode {
  const { registerHandlers } = bindings.useWebSocketContext();
  bindings.useWebSocketHandlers({ of_valibot: (message) => wantsNumber(message.total) });
  // @ts-expect-error no schema names this field
  bindings.useWebSocketHandlers({ of_valibot: (message) => wantsAnything(message.sum) });
  useWebSocketHandlers({ notification_new: (message) => wantsString(message.title) });
  // @ts-expect-error a handler is a function
  useWebSocketHandlers({ notification_new: 'nope' });
  useEffect(
    () => registerHandlers({ of_arktype: (message) => wantsString(message.name) }),
    [registerHandlers],
  );
  return (
    <bindings.WebSocketInitializer user="ann" getToken={() => ''}>
      <BoundPanel title="Chat" />
    </bindings.WebSocketInitializer>
  );
}
const BoundPanel = bindings.withWebSocket(
  ({ websocket }: { websocket: ReturnType<typeof bindings.useWebSocketProps>; title: string }) => {
    websocket.registerHandlers({ of_valibot: (message) => wantsNumber(message.total) });
    return null;
  },
);
