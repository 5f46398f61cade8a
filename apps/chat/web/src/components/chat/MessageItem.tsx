import { CircleAlert, RefreshCw } from 'lucide-react';
import { memo } from 'react';
import { useDispatch, useSelector } from 'react-redux';
import { Markdown } from '@/components/chat/Markdown';
import { CopyButton } from '@/components/ui/CopyButton';
import { TetherMark } from '@/components/ui/TetherMark';
import { Thinking } from '@/components/ui/Thinking';
import { useAsking } from '@/hooks/use-asking';
import { useWebSocketContext } from '@/hooks/use-websocket-context';
import { messageDiscarded } from '@/store/slices/conversationSlice';
import type { ChatMessage } from '@/types/chat';

interface Props {
  message: ChatMessage;
  conversationUuid: string;
  isLast: boolean;
}

/** A question or an answer, with what can be done about it. */
export const MessageItem = memo(function MessageItem(props: Props) {
  return props.message.role === 'user' ? <Question {...props} /> : <Answer {...props} />;
});

function Question({ message, conversationUuid }: Props) {
  return (
    <li className="message message--question" data-delivery={message.delivery?.state ?? 'shown'}>
      <span className="visually-hidden">You asked:</span>
      <div className="message__bubble">
        <Markdown>{message.content}</Markdown>
      </div>
      <DeliveryNote message={message} conversationUuid={conversationUuid} />
    </li>
  );
}

function DeliveryNote({ message, conversationUuid }: Omit<Props, 'isLast'>) {
  const { askAgain } = useAsking();
  const { isConnected } = useWebSocketContext();
  const dispatch = useDispatch();
  const { delivery } = message;
  if (delivery?.state === 'sending') {
    return (
      <p className="message__note">
        {isConnected ? 'Sending…' : 'Waiting for the connection. It goes out by itself.'}
      </p>
    );
  }
  if (delivery?.state !== 'failed') {
    return null;
  }
  return (
    <div className="message__note message__note--bad">
      <CircleAlert aria-hidden="true" />
      <span>Not sent. {delivery.reason}</span>
      <button
        type="button"
        className="text-button"
        onClick={() => askAgain(message, conversationUuid)}
      >
        Send again
      </button>
      <button
        type="button"
        className="text-button"
        onClick={() => dispatch(messageDiscarded({ conversationUuid, messageUuid: message.uuid }))}
      >
        Discard
      </button>
    </div>
  );
}

function Answer({ message, conversationUuid, isLast }: Props) {
  const { regenerate } = useAsking();
  const isRegenerating = useSelector(
    (state) => state.conversation.regenerating[message.uuid] !== undefined,
  );
  const hasFailed = message.status === 'failed';
  const again = () => regenerate(message.uuid, conversationUuid);
  return (
    <li className="message message--answer" data-status={message.status}>
      <span className="message__mark">
        <TetherMark size={26} />
      </span>
      <div className="message__body">
        <span className="visually-hidden">Answer:</span>
        {isRegenerating ? (
          <Thinking />
        ) : (
          <>
            {message.content !== '' && (
              <AnswerText message={message} onAgain={isLast && !hasFailed ? again : null} />
            )}
            {hasFailed && <FailedAnswer message={message} onRetry={again} />}
          </>
        )}
      </div>
    </li>
  );
}

function AnswerText({
  message: { content },
  onAgain,
}: {
  message: ChatMessage;
  onAgain: (() => void) | null;
}) {
  return (
    <>
      <Markdown>{content}</Markdown>
      <div className="message__actions">
        <CopyButton text={() => content} label="Copy answer" />
        {onAgain !== null && (
          <button type="button" className="text-button" onClick={onAgain}>
            <RefreshCw aria-hidden="true" />
            Answer again
          </button>
        )}
      </div>
    </>
  );
}

/** Below the text of an answer that was to be written anew, or in place of one. */
function FailedAnswer({ message, onRetry }: { message: ChatMessage; onRetry: () => void }) {
  return (
    <div className="failed">
      <CircleAlert aria-hidden="true" />
      <p>{message.error?.message ?? 'No answer could be generated.'}</p>
      <button type="button" className="button button--small" onClick={onRetry}>
        <RefreshCw aria-hidden="true" />
        Retry
      </button>
    </div>
  );
}
