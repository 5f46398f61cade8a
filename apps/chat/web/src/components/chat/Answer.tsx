import { CircleAlert, CircleStop, RefreshCw, Scissors, Unplug } from 'lucide-react';
import { memo } from 'react';
import { useStreamedMessage } from 'tetherline/react';
import { Markdown } from '@/components/chat/Markdown';
import type { MessageProps } from '@/components/chat/MessageItem';
import { VersionPager } from '@/components/chat/VersionPager';
import { CopyButton } from '@/components/ui/CopyButton';
import { TetherMark } from '@/components/ui/TetherMark';
import { Thinking } from '@/components/ui/Thinking';
import { useAsking } from '@/hooks/use-asking';
import type { ChatMessage } from '@/types/chat';

export function Answer({ place, conversationUuid, isLast }: MessageProps) {
  const { goOn, regenerate } = useAsking();
  const { message, unfinished } = place;
  const final = unfinished === undefined ? message : undefined;
  const isComplete = final?.status === 'complete';
  const again = () => regenerate(place.uuid, conversationUuid, { isRetry: !isComplete });
  return (
    <li
      className="message message--answer"
      data-status={final?.status ?? unfinished?.phase}
      // Its beginning and its end are announced; its tokens are not read out one by one.
      aria-live={final === undefined ? 'off' : undefined}
      aria-busy={final === undefined || undefined}
    >
      <span className="message__mark">
        <TetherMark size={26} />
      </span>
      <div className="message__body">
        <span className="visually-hidden">Answer:</span>
        {unfinished?.phase === 'awaited' ? (
          <Thinking />
        ) : (
          <AnswerText
            uuid={place.uuid}
            text={final?.content}
            isStreaming={unfinished?.phase === 'streaming'}
          />
        )}
        {final !== undefined && <Outcome message={final} onRetry={again} />}
        {isComplete && final.error !== undefined && (
          <Cut
            error={final.error}
            // Behind it there may be more already, or another question.
            onGoOn={isLast ? () => goOn(place.uuid, conversationUuid) : undefined}
          />
        )}
        <div className="message__actions">
          {final?.status === 'stopped' && <Stopped onRetry={again} />}
          {final !== undefined && final.content !== '' && (
            <CopyButton text={() => final.content} label="Copy answer" />
          )}
          {isComplete && isLast && (
            <button type="button" className="text-button" onClick={again}>
              <RefreshCw aria-hidden="true" />
              Answer again
            </button>
          )}
          <VersionPager place={place} conversationUuid={conversationUuid} />
        </div>
      </div>
    </li>
  );
}

/** The one component that renders with every frame in which its stream has new text. */
const AnswerText = memo(function AnswerText({
  uuid,
  text,
  isStreaming,
}: {
  uuid: string;
  /** What it is for good; until then it is what the connection has of it. */
  text: string | undefined;
  isStreaming: boolean;
}) {
  const streamed = useStreamedMessage(text === undefined ? uuid : null);
  const shown = text ?? streamed?.text ?? '';
  if (shown === '') {
    return isStreaming ? <Thinking /> : null;
  }
  return <Markdown isStreaming={isStreaming}>{shown}</Markdown>;
});

/** Somebody wanted no more of it. */
function Stopped({ onRetry }: { onRetry: () => void }) {
  return (
    <>
      <p className="stopped">
        <CircleStop aria-hidden="true" />
        <span>Stopped</span>
      </p>
      <button type="button" className="text-button" onClick={onRetry}>
        <RefreshCw aria-hidden="true" />
        Try again
      </button>
    </>
  );
}

/** Why an answer is less than it could have been, and a way to the rest if there is one. */
function Cut({
  error,
  onGoOn,
}: {
  error: NonNullable<ChatMessage['error']>;
  onGoOn: (() => void) | undefined;
}) {
  return (
    <div className="failed" data-kind="cut">
      <Scissors aria-hidden="true" />
      <p>{error.message}</p>
      {error.code === 'length' && onGoOn !== undefined && (
        <button type="button" className="button button--small" onClick={onGoOn}>
          Continue
        </button>
      )}
    </div>
  );
}

/** Why an answer has not become whole, and a way to have it so. */
function Outcome({ message, onRetry }: { message: ChatMessage; onRetry: () => void }) {
  switch (message.status) {
    case 'complete':
    case 'stopped':
      return null;
    case 'failed':
    case 'interrupted': {
      const isInterrupted = message.status === 'interrupted';
      const [Icon, otherwise] = isInterrupted
        ? [Unplug, 'The server stopped while this was being written.']
        : [CircleAlert, 'No answer could be generated.'];
      return (
        <div className="failed" data-kind={message.status}>
          <Icon aria-hidden="true" />
          <p>{message.error?.message ?? otherwise}</p>
          <button type="button" className="button button--small" onClick={onRetry}>
            <RefreshCw aria-hidden="true" />
            Retry
          </button>
        </div>
      );
    }
  }
}
