import { createClient, type Gap, type Message, type Snapshot } from 'tetherline';
import { indexedDbOutbox } from 'tetherline/outbox';
import { streamedMessages } from 'tetherline/streams';

/** One call of the handler, as it was. */
export interface Call {
  seq: number | undefined;
  id: string | undefined;
  replayed: boolean;
}

/** What a send came to: `accepted`, or the code of its error. */
export interface Settled {
  id: string;
  outcome: string;
}

/** What a test may look at and do in the page: nothing but a client, and a record of what it says. */
export interface TabPage {
  readonly calls: Call[];
  readonly settled: Settled[];
  readonly gaps: Gap[];
  readonly errors: string[];
  /** Every status that the page could have shown, in order. */
  readonly statuses: Snapshot['status'][];
  readonly elsewhere: string[];
  /** The text of a stream, as far as it has come. */
  text: (uuid: string) => string | undefined;
  /** Sends, and returns at once. */
  send: (id: string) => void;
  signIn: (user: string) => void;
  signOut: () => void;
  reconnect: () => void;
}

declare global {
  interface Window {
    tab: TabPage;
  }
}

const parameters = new URLSearchParams(location.search);

const tab = {
  calls: [] as Call[],
  settled: [] as Settled[],
  gaps: [] as Gap[],
  errors: [] as string[],
  statuses: [] as Snapshot['status'][],
  elsewhere: [] as string[],
};

const client = createClient({
  url: parameters.get('server') ?? '',
  getToken: ({ user, signal }) =>
    fetch(`/token?user=${user}`, { signal }).then((answer) => answer.text()),
  debug: false,
  ...(parameters.has('streams') && { streams: streamedMessages() }),
  ...(parameters.has('outbox') && { outbox: indexedDbOutbox() }),
  onGap: (gap) => tab.gaps.push(gap),
  onServerError: (error) => tab.errors.push(error.code),
  onHandlerError: (error) => tab.errors.push(String(error)),
  onSignedOutElsewhere: (user) => tab.elsewhere.push(user),
});

client.on({
  news: (_message: Message, { seq, id, replayed }) => tab.calls.push({ seq, id, replayed }),
});

client.subscribe(() => {
  const { status } = client.getSnapshot();
  if (tab.statuses.at(-1) !== status) tab.statuses.push(status);
});

window.tab = {
  ...tab,
  text: (uuid) => client.getStream(uuid)?.text,
  send: (id) => {
    client.send({ type: 'ask', id }).then(
      () => tab.settled.push({ id, outcome: 'accepted' }),
      (error: unknown) => tab.settled.push({ id, outcome: String(error) }),
    );
  },
  signIn: client.signIn,
  signOut: client.signOut,
  reconnect: client.reconnect,
};

client.signIn(parameters.get('user') ?? '');
