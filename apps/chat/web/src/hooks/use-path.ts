import { useSyncExternalStore } from 'react';
import { useSelector } from 'react-redux';
import { useTetherlineClient } from 'tetherline/react';
import { answerStreamsOf } from '@/lib/answer-streams';
import type { Place } from '@/lib/tree';
import { selectPath } from '@/store/path';

/** The branch of a conversation that is shown. Renders when a message comes, not when one grows. */
export function usePath(conversationUuid: string | null): readonly Place[] {
  const uuid = conversationUuid ?? '';
  const answers = answerStreamsOf(useTetherlineClient());
  const streams = useSyncExternalStore(answers.subscribe, () => answers.of(uuid));
  return useSelector((state) => selectPath(state, uuid, streams));
}
