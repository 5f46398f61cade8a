import { createSelector } from '@reduxjs/toolkit';
import type { StreamInfo } from 'tetherline';
import { type Place, visiblePath } from '@/lib/tree';
import { unfinishedOf, withAwaited } from '@/lib/unfinished';
import type { RootState } from '@/store';

/** The branch of a conversation that is shown, with the streams that the connection knows. */
export const selectPath: (
  state: RootState,
  conversationUuid: string,
  streams: readonly StreamInfo[],
) => readonly Place[] = createSelector(
  [
    ({ conversation }: RootState, uuid: string) => conversation.messages[uuid] ?? NONE,
    ({ conversation }: RootState, uuid: string) => conversation.pending[uuid] ?? NONE,
    ({ conversation }: RootState, uuid: string) => conversation.regenerations[uuid] ?? NONE,
    ({ conversation }: RootState, uuid: string) => conversation.choices[uuid] ?? NO_CHOICES,
    (_: RootState, __: string, streams: readonly StreamInfo[]) => streams,
  ],
  (messages, pending, regenerations, choices, streams) =>
    withAwaited(
      visiblePath(messages, unfinishedOf(messages, pending, regenerations, streams), choices),
    ),
);

const NONE: [] = [];
const NO_CHOICES = {};
