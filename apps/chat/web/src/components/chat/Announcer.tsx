import { useState } from 'react';
import type { Place } from '@/lib/tree';
import { awaitedOn } from '@/lib/unfinished';

const ENDED = {
  complete: 'The answer is complete.',
  stopped: 'The answer was stopped.',
  failed: 'The answer failed.',
  interrupted: 'The answer was interrupted.',
};

/** Says when an answer begins to be written and how it ended, to whoever cannot see it. */
export function Announcer({ path }: { path: readonly Place[] }) {
  const awaited = awaitedOn(path) === undefined ? undefined : path.at(-1)?.fork;
  const [watched, setWatched] = useState<string | undefined>(undefined);
  if (awaited !== undefined && awaited !== watched) {
    setWatched(awaited);
  }
  const place = path.find(({ fork }) => fork === watched);
  const status = place?.unfinished === undefined ? place?.message?.status : undefined;
  return (
    <p className="visually-hidden" role="status">
      {awaited !== undefined
        ? 'An answer is being written.'
        : status === undefined
          ? ''
          : ENDED[status]}
    </p>
  );
}
