import { memo } from 'react';
import { Answer } from '@/components/chat/Answer';
import { Question } from '@/components/chat/Question';
import type { Place } from '@/lib/tree';

export interface MessageProps {
  place: Place;
  conversationUuid: string;
  isLast: boolean;
}

/** A question or an answer, with what can be done about it. */
export const MessageItem = memo(function MessageItem({ place, ...props }: MessageProps) {
  return place.role === 'user' && place.message !== undefined ? (
    <Question place={place} message={place.message} {...props} />
  ) : (
    <Answer place={place} {...props} />
  );
});
