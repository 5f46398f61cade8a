// Anything could be sent: a field that was misspelt reached the server, and nobody was told.
// Checked by `npm run typecheck`, never run: every `@ts-expect-error` is a mistake that has to be found.
import type { ReactNode } from 'react';

import type { Client, SentMessage } from '../../../src/index.js';
import {
  createTetherline,
  useWebSocketContext,
  type WebSocketProps,
} from '../../../src/react/index.js';

interface Note {
  to: string;
  text: string;
}

declare module '../../../src/index.js' {
  interface SentMessageMap {
    note_send: Note;
    draft_keep: { text: string; tags?: string[] };
  }
}

declare const client: Client;
declare const note: Note;
declare const chosen: 'note_send' | 'draft_keep';

void client.send({ type: 'note_send', to: 'ben', text: 'Hello' });
void client.send({ type: 'note_send', ...note, id: 'n1' }, { ttlMs: 1_000 });
void client.send({ type: chosen, to: 'ben', text: 'Hello' });
const message: SentMessage = { type: 'draft_keep', text: 'Hello' };
void client.send(message).then(({ id }: { id: string }) => id);
void client.stop({ ref: 'n1' });

// @ts-expect-error nobody described such a message
void client.send({ type: 'note_sent', to: 'ben', text: 'Hello' });
// @ts-expect-error a field is missing
void client.send({ type: 'note_send', to: 'ben' });
// @ts-expect-error a field is misspelt
void client.send({ type: 'draft_keep', text: 'Hello', tag: [] });
// @ts-expect-error a field of the other message
void client.send({ type: 'draft_keep', text: 'Hello', to: 'ben' });
// @ts-expect-error an id is a text
void client.send({ type: 'draft_keep', text: 'Hello', id: 1 });

export function Notes({ websocket }: { websocket: WebSocketProps }): ReactNode {
  const { send } = useWebSocketContext();
  void send({ type: 'note_send', to: 'ben', text: 'Hello' });
  // @ts-expect-error a field is misspelt
  void send({ type: 'note_send', to: 'ben', txt: 'Hello' });
  // @ts-expect-error a field too many
  void websocket.send({ type: 'note_send', to: 'ben', text: 'Hello', bcc: 'cleo' });
  return null;
}

// What only one client sends comes beside what is described for all of them.
const own = createTetherline<object, { vote_cast: { choice: number } }>();
export function Vote(): ReactNode {
  const { send } = own.useWebSocketContext();
  void send({ type: 'vote_cast', choice: 1 });
  void own.useTetherlineClient().send({ type: 'note_send', to: 'ben', text: 'Hello' });
  // @ts-expect-error a choice is a number
  void send({ type: 'vote_cast', choice: 'first' });
  return null;
}
