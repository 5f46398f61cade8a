import { type ComponentType, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
// Its own entry, a CommonJS module with a default export, is read differently by every bundler.
import { useWebSocket as useReactWebSocket } from 'react-use-websocket/dist/lib/use-websocket';
import { createClient } from 'tetherline';
import { useConnection, useWebSocketHandlers, WebSocketInitializer } from 'tetherline/react';

import { COMPONENTS, type Contestant } from './contestants.js';
import { offer } from './offer.js';
import { until } from './until.js';

export interface RendersFigure {
  /** Renders of all components, while the messages came. */
  readonly renders: number;
  /** How often a callback of the application looked at a message that is not its own. */
  readonly looks: number;
}

export interface RendersPage {
  /** Mounts the components, and answers when they are connected and at rest. */
  readonly mount: (contestant: Contestant, url: string) => Promise<void>;
  /** Once so many messages have come. */
  readonly rendersAfter: (contestant: Contestant, messages: number) => Promise<RendersFigure>;
}

class Count {
  renders = 0;
  looks = 0;
  received = 0;
  open = 0;
  /** Renders until the first message. */
  before = 0;
}

const counts: Record<Contestant, Count> = {
  tetherline: new Count(),
  filtered: new Count(),
  unfiltered: new Count(),
};

function OurListener(): ReactNode {
  const count = counts.tetherline;
  counted(count);
  useWebSocketHandlers({ message_mine: () => (count.looks += 1) });
  return useConnection((snapshot) => snapshot.isConnected) ? 'connected' : 'not connected';
}

/** As its documentation advises: one shared socket, and only messages that pass the filter render. */
function FilteredListener({ url, index }: ListenerProps): ReactNode {
  const count = counts.filtered;
  counted(count);
  const { readyState } = useReactWebSocket(url, {
    share: true,
    filter: (event: MessageEvent<string>) => {
      count.looks += 1;
      return (JSON.parse(event.data) as { type: string }).type === 'message_mine';
    },
    onOpen: () => (count.open += 1),
    onMessage: () => {
      if (index === 0) {
        count.received += 1;
      }
    },
  });
  return String(readyState);
}

/** As its first example has it, but for sharing one socket. */
function UnfilteredListener({ url, index }: ListenerProps): ReactNode {
  const count = counts.unfiltered;
  counted(count);
  const { lastMessage } = useReactWebSocket(url, {
    share: true,
    onOpen: () => (count.open += 1),
    onMessage: () => {
      if (index === 0) {
        count.received += 1;
      }
    },
  });
  return String(lastMessage?.timeStamp);
}

/** Impure on purpose: how often components are called is what is asked. */
function counted(count: { renders: number }): void {
  count.renders += 1;
}

interface ListenerProps {
  readonly url: string;
  readonly index: number;
}

function fifty(Listener: ComponentType<ListenerProps>, url: string): ReactNode {
  return Array.from({ length: COMPONENTS }, (_, index) => (
    <Listener key={index} index={index} url={url} />
  ));
}

function tree(contestant: Contestant, url: string): ReactNode {
  switch (contestant) {
    case 'tetherline': {
      const client = createClient({ url, getToken: () => 'token' });
      client.on({ message_other: () => (counts.tetherline.received += 1) });
      client.subscribe(() => (counts.tetherline.open = client.getSnapshot().isConnected ? 1 : 0));
      return (
        <WebSocketInitializer client={client} user="reader">
          {fifty(OurListener, url)}
        </WebSocketInitializer>
      );
    }
    case 'filtered':
      return fifty(FilteredListener, url);
    case 'unfiltered':
      return fifty(UnfilteredListener, url);
  }
}

offer({
  mount: async (contestant, url) => {
    const count = counts[contestant];
    const element = document.body.appendChild(document.createElement('div'));
    createRoot(element).render(tree(contestant, url));
    const connections = contestant === 'tetherline' ? 1 : COMPONENTS;
    await until(() => count.open === connections, `${contestant} is connected`);
    await twoFrames();
    count.before = count.renders;
  },
  rendersAfter: async (contestant, messages) => {
    const count = counts[contestant];
    await until(() => count.received >= messages, `${contestant} has ${messages} messages`);
    await twoFrames();
    return { renders: count.renders - count.before, looks: count.looks };
  },
});

/** What was to be rendered is rendered. */
async function twoFrames(): Promise<void> {
  for (let frame = 0; frame < 2; frame++) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}
