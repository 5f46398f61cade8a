import { ArrowDown } from 'lucide-react';
import type { ReactNode } from 'react';
import { useSelector } from 'react-redux';
import {
  EarlierMissing,
  EmptyConversation,
  HistoryFailed,
  HistorySkeleton,
} from '@/components/chat/states';
import { MessageItem } from '@/components/chat/MessageItem';
import { Thinking } from '@/components/ui/Thinking';
import { useConversationHistory } from '@/hooks/use-history';
import { useStickToBottom } from '@/hooks/use-stick-to-bottom';
import type { ChatMessage } from '@/types/chat';

/** The open conversation, out of the Redux store. */
const ChatMessages = () => {
  const uuid = useSelector((state) => state.conversation.current?.uuid ?? null);
  const messages = useSelector((state) => state.conversation.messages[uuid ?? ''] ?? NONE);
  const loading = useSelector((state) => state.conversation.historyLoading[uuid ?? '']);
  const history = useConversationHistory(uuid);

  if (uuid === null) {
    return <EmptyConversation />;
  }
  if (messages.length > 0) {
    return (
      <MessageList
        key={uuid}
        conversationUuid={uuid}
        messages={messages}
        missing={
          loading?.state === 'failed' && (
            <EarlierMissing reason={loading.reason} onRetry={history.retry} />
          )
        }
      />
    );
  }
  if (loading?.state === 'failed') {
    return <HistoryFailed reason={loading.reason} onRetry={history.retry} />;
  }
  return loading?.state === 'ready' ? <EmptyConversation /> : <HistorySkeleton />;
};

export default ChatMessages;

const NONE: ChatMessage[] = [];

function MessageList({
  conversationUuid,
  messages,
  missing,
}: {
  conversationUuid: string;
  messages: ChatMessage[];
  /** Says that there is more than these. */
  missing: ReactNode;
}) {
  const last = messages.at(-1);
  const isAwaiting = last?.role === 'user' && !isUnsettled(last);
  const { scroller, content, onScroll, toBottom, position } = useStickToBottom(last);
  return (
    <div className="messages-frame">
      <div
        ref={scroller}
        className="messages"
        role="log"
        aria-label="Messages"
        tabIndex={0}
        onScroll={onScroll}
      >
        <div ref={content} className="messages__column">
          {missing}
          <ol className="messages__list">
            {messages.map((message) => (
              <MessageItem
                key={message.uuid}
                message={message}
                conversationUuid={conversationUuid}
                isLast={message === last}
              />
            ))}
          </ol>
          {isAwaiting && <Thinking />}
        </div>
      </div>
      {position !== 'bottom' && (
        <button type="button" className="pill" onClick={toBottom}>
          <ArrowDown aria-hidden="true" />
          {position === 'behind' ? 'New messages' : 'Latest'}
        </button>
      )}
    </div>
  );
}

function isUnsettled({ delivery }: ChatMessage): boolean {
  return delivery !== undefined && delivery.state !== 'accepted';
}
