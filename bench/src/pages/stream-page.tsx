import type { ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { createClient } from 'tetherline';
import { useStreamedMessage, WebSocketInitializer } from 'tetherline/react';
import { streamedMessages } from 'tetherline/streams';

import { Markdown } from '@/components/chat/Markdown';
import { highlighter } from '@/lib/markdown/typesetting';

import { ANSWERS, type AnswerKind } from './answers.js';
import { MemorySocket, MemoryWebSocket } from './memory-socket.js';
import { offer } from './offer.js';
import { until } from './until.js';

/** What each frame took. */
export interface StreamFigure {
  /** From the frame's beginning until what came since the last one is on the page, in ms. */
  readonly workMs: readonly number[];
  /** Style and layout, which the page asks for right after, in ms. */
  readonly layoutMs: readonly number[];
}

export interface StreamPage {
  /** Writes so many UTF-16 units of a stream in each frame. */
  readonly write: (
    kind: AnswerKind,
    unitsPerFrame: number,
    parsed: 'by the block' | 'as a whole',
  ) => Promise<StreamFigure>;
}

const client = createClient({
  url: location.origin.replace('http', 'ws'),
  getToken: () => 'token',
  tabs: 'separate',
  WebSocket: MemoryWebSocket,
  streams: streamedMessages(),
});

/** The one component that renders while a stream is written, as the chat has it. */
function Answer({ uuid, isWhole }: { uuid: string; isWhole: boolean }): ReactNode {
  const message = useStreamedMessage(uuid);
  const isStreaming = message?.isGrowing === true && !isWhole;
  return <Markdown isStreaming={isStreaming}>{message?.text ?? ''}</Markdown>;
}

offer({
  write: async (kind, unitsPerFrame, parsed) => {
    // In the chat it is fetched with the first block of code, and here that is not what is measured.
    await highlighter.load();
    const text = ANSWERS[kind]();
    const html = atOnce(text);
    const uuid = `answer-${kind}`;
    const element = document.body.appendChild(document.createElement('div'));
    const root = createRoot(element);
    root.render(
      <WebSocketInitializer client={client} user="reader">
        <Answer uuid={uuid} isWhole={parsed === 'as a whole'} />
      </WebSocketInitializer>,
    );
    await until(() => client.getSnapshot().isConnected, 'the connection');
    const named = { message_uuid: uuid, attempt: 1 };
    receive({ type: 'message_start', ...named });
    const workMs: number[] = [];
    const layoutMs: number[] = [];
    for (let offset = 0; offset < text.length; offset += unitsPerFrame) {
      const piece = text.slice(offset, offset + unitsPerFrame);
      const { work, layout } = await inOneFrame(element, () =>
        receive({ type: 'message_delta', ...named, offset, text: piece }),
      );
      workMs.push(work);
      layoutMs.push(layout);
    }
    receive({
      type: 'message_generate',
      id: uuid,
      seq: (seq += 1),
      ...named,
      status: 'complete',
      message: { uuid, content: text, status: 'complete', attempt: 1 },
    });
    await until(() => htmlOf(element) === html, `what is there at once: ${kind}`);
    root.unmount();
    element.remove();
    return { workMs, layoutMs };
  },
});

let seq = 0;

function receive(frame: object): void {
  MemorySocket.latest?.receive(JSON.stringify(frame));
}

/**
 * What a frame does for a piece that came before it. Callbacks of a frame run in the order in which
 * they were asked for: ours first, then the client's with all that React does, then ours again.
 */
function inOneFrame(
  element: HTMLElement,
  arrive: () => void,
): Promise<{ work: number; layout: number }> {
  return new Promise((resolve) => {
    let began = 0;
    requestAnimationFrame(() => (began = performance.now()));
    arrive();
    requestAnimationFrame(() => {
      const shown = performance.now();
      // Reading a size has the browser lay out what has changed.
      element.getBoundingClientRect();
      const laidOut = performance.now();
      setTimeout(() => resolve({ work: shown - began, layout: laidOut - shown }));
    });
  });
}

/** What is shown, whether or not it was measured that it has to be scrolled. */
function htmlOf(element: HTMLElement): string {
  const copy = element.cloneNode(true) as HTMLElement;
  for (const area of copy.querySelectorAll('.scroll')) {
    for (const name of ['data-more', 'role', 'aria-label', 'tabindex']) {
      area.removeAttribute(name);
    }
  }
  return copy.innerHTML;
}

/** The same text on a page of its own, in one parse. */
function atOnce(text: string): string {
  const element = document.createElement('div');
  const root = createRoot(element);
  flushSync(() => root.render(<Markdown>{text}</Markdown>));
  const html = htmlOf(element);
  root.unmount();
  return html;
}
