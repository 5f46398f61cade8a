import { useSelector } from 'react-redux';
import { useStreams } from 'tetherline/react';
import type { Place } from '@/lib/tree';
import { selectPath } from '@/store/path';

/** The branch of a conversation that is shown. Renders when a message comes, not with the text of a stream. */
export function usePath(conversationUuid: string | null): readonly Place[] {
  const uuid = conversationUuid ?? '';
  const streams = useStreams((start) => start['conversation_uuid'] === uuid);
  return useSelector((state) => selectPath(state, uuid, streams));
}
