import { byTime } from '@/lib/messages';
import type { ChatMessage } from '@/types/chat';

/** An answer that has no final text yet, or none that is known. */
export interface UnfinishedAnswer {
  uuid: string;
  parent: string | null;
  version: number;
  /** The send that asked for it. */
  ref: string | undefined;
  /** `awaited`: nothing is written yet. `ended`: its final message is about to come. */
  phase: 'awaited' | 'streaming' | 'ended';
  /** Its uuid is the server's, and not made up until that is known. */
  isNamed: boolean;
}

/** A place in the conversation as it is shown: a message, an unfinished answer, or both. */
export interface Place {
  uuid: string;
  role: ChatMessage['role'];
  message: ChatMessage | undefined;
  unfinished: UnfinishedAnswer | undefined;
  /** The fork at which its versions part: what stays the same when another one is shown. */
  fork: string;
  /** The uuids of all its versions, in their order. */
  versions: readonly string[];
}

/** Which version is shown, where a person has chosen: fork → uuid. */
export type Choices = Readonly<Record<string, string>>;

/** The fork at which what follows a message parts. */
export function forkOf(role: ChatMessage['role'], parent: string | null): string {
  return `${role} after ${parent ?? 'nothing'}`;
}

/** One branch of the conversation: where nobody has chosen, the one that was written to last. */
export function visiblePath(
  messages: readonly ChatMessage[],
  unfinished: readonly UnfinishedAnswer[],
  choices: Choices,
): Place[] {
  const forks = forksOf(nodesOf(messages, unfinished));
  const path: Place[] = [];
  for (const trunk of forks.trunks) {
    let versions: readonly Node[] = trunk;
    while (versions.length > 0) {
      const node = chosen(forks, versions, choices);
      path.push({
        ...node.place,
        fork: node.fork,
        versions: versions.map(({ place }) => place.uuid),
      });
      versions = next(forks, node);
    }
  }
  return path;
}

interface Node {
  place: Omit<Place, 'versions' | 'fork'>;
  /** `undefined` where the server has not said it. */
  parent: string | null | undefined;
  fork: string;
  version: number;
  /** When it was written, in ms since 1970; what is on its way is newer than anything. */
  time: number;
}

interface Forks {
  /** Where the conversation begins, and whatever follows something that is not known. */
  trunks: Node[][];
  after: ReadonlyMap<string, Node[]>;
}

function nodesOf(
  messages: readonly ChatMessage[],
  unfinished: readonly UnfinishedAnswer[],
): Node[] {
  const answers = new Map(unfinished.map((answer) => [answer.uuid, answer]));
  const known = messages.map((message): Node => {
    const answer = answers.get(message.uuid);
    answers.delete(message.uuid);
    // What came without a word on what it follows is a version of nothing.
    const parent = message.parent === null ? null : (message.parent ?? message.reply_to);
    const fork = parent === undefined ? message.uuid : forkOf(message.role, parent);
    const isOnItsWay = message.delivery !== undefined || answer !== undefined;
    return {
      place: { uuid: message.uuid, role: message.role, message, unfinished: answer },
      parent,
      fork,
      version: message.version ?? 1,
      time: isOnItsWay ? Infinity : Date.parse(message.created_at),
    };
  });
  const others = [...answers.values()].map((answer): Node => ({
    place: { uuid: answer.uuid, role: 'assistant', message: undefined, unfinished: answer },
    parent: answer.parent,
    fork: forkOf('assistant', answer.parent),
    version: answer.version,
    time: Infinity,
  }));
  return [...known, ...others];
}

function forksOf(nodes: readonly Node[]): Forks {
  const known = new Set(nodes.map(({ place }) => place.uuid));
  const after = new Map<string, Node[]>();
  const trunks = new Map<string, Node[]>();
  for (const node of nodes) {
    const { parent, fork } = node;
    const isTrunk = parent === undefined || parent === null || !known.has(parent);
    const forks = isTrunk ? trunks : after;
    forks.set(fork, [...(forks.get(fork) ?? []), node]);
  }
  for (const versions of [...after.values(), ...trunks.values()]) {
    versions.sort((a, b) => a.version - b.version || byAge(a, b));
  }
  return { trunks: [...trunks.values()].sort(byBeginning), after };
}

function chosen(forks: Forks, versions: readonly Node[], choices: Choices): Node {
  const [first] = versions;
  if (first === undefined) {
    throw new Error('A fork has at least one version: it exists because of it.');
  }
  const choice = choices[first.fork];
  return (
    versions.find(({ place }) => place.uuid === choice) ??
    versions.reduce((newest, node) =>
      lastWritten(forks, node) >= lastWritten(forks, newest) ? node : newest,
    )
  );
}

/** What follows in the path: the versions among which one is to be chosen. */
function next(forks: Forks, { place, parent }: Node): readonly Node[] {
  const questions = forks.after.get(forkOf('user', place.uuid)) ?? [];
  if (place.role === 'user') {
    return forks.after.get(forkOf('assistant', place.uuid)) ?? questions;
  }
  // Asked before the page knew of the answer, a question names the question before it.
  const early = typeof parent === 'string' ? forks.after.get(forkOf('user', parent)) : undefined;
  return questions.length > 0 ? questions : (early ?? []);
}

function lastWritten(forks: Forks, node: Node): number {
  let latest = node.time;
  const rest = [...next(forks, node)];
  for (let one = rest.pop(); one !== undefined; one = rest.pop()) {
    latest = Math.max(latest, one.time);
    rest.push(...next(forks, one));
  }
  return latest;
}

function byBeginning([a]: Node[], [b]: Node[]): number {
  return a === undefined || b === undefined ? 0 : byAge(a, b);
}

function byAge(a: Node, b: Node): number {
  return a.place.message !== undefined && b.place.message !== undefined
    ? byTime(a.place.message, b.place.message)
    : a.time === b.time
      ? 0
      : a.time - b.time;
}
