import { ArrowDown } from 'lucide-react';
import type { ReactNode } from 'react';
import { useSelector } from 'react-redux';
import {
  EarlierMissing,
  ConversationNotFound,
  EmptyConversation,
  HistoryFailed,
  HistorySkeleton,
} from '@/components/chat/states';
import { Announcer } from '@/components/chat/Announcer';
import { MessageItem } from '@/components/chat/MessageItem';
import { useConversationHistory } from '@/hooks/use-history';
import { usePath } from '@/hooks/use-path';
import { useStickToBottom } from '@/hooks/use-stick-to-bottom';
import type { Place } from '@/lib/tree';
import { awaitedOn } from '@/lib/unfinished';

/** The open conversation, out of the Redux store. */
const ChatMessages = () => {
  const uuid = useSelector((state) => state.conversation.current?.uuid ?? null);
  const path = usePath(uuid);
  const loading = useSelector((state) => state.conversation.historyLoading[uuid ?? '']);
  const history = useConversationHistory(uuid);

  if (uuid === null) {
    return <EmptyConversation />;
  }
  if (path.length > 0) {
    return (
      <MessageList
        key={uuid}
        conversationUuid={uuid}
        path={path}
        missing={
          loading?.state === 'failed' && (
            <EarlierMissing reason={loading.reason} onRetry={history.retry} />
          )
        }
      />
    );
  }
  if (loading?.state === 'missing') {
    return <ConversationNotFound />;
  }
  if (loading?.state === 'failed') {
    return <HistoryFailed reason={loading.reason} onRetry={history.retry} />;
  }
  return loading?.state === 'ready' ? <EmptyConversation /> : <HistorySkeleton />;
};

export default ChatMessages;

function MessageList({
  conversationUuid,
  path,
  missing,
}: {
  conversationUuid: string;
  path: readonly Place[];
  /** Says that there is more than these. */
  missing: ReactNode;
}) {
  const last = path.at(-1);
  const isOwn = last?.message?.delivery?.state === 'sending';
  const { scroller, content, onScroll, toBottom, position } = useStickToBottom(
    last?.fork ?? '',
    isOwn,
  );
  return (
    <div className="messages-frame">
      <div
        ref={scroller}
        className="messages"
        role="log"
        aria-label="Messages"
        aria-busy={awaitedOn(path) !== undefined}
        tabIndex={0}
        onScroll={onScroll}
      >
        <div ref={content} className="messages__column">
          {missing}
          <ol className="messages__list">
            {path.map((place) => (
              // By its fork: whichever version is shown, the focus stays, and so does a text when its
              // answer is named or has ended.
              <MessageItem
                key={place.fork}
                place={place}
                conversationUuid={conversationUuid}
                isLast={place === last}
              />
            ))}
          </ol>
        </div>
      </div>
      <Announcer path={path} />
      {position !== 'bottom' && (
        <div className="messages__latest">
          <button type="button" className="pill" onClick={toBottom}>
            <ArrowDown aria-hidden="true" />
            {position === 'behind' ? 'New messages' : 'Latest'}
          </button>
        </div>
      )}
    </div>
  );
}
