import * as Dialog from '@radix-ui/react-dialog';
import { Menu, X } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useDispatch, useSelector } from 'react-redux';
import ChatMessages from '@/components/chat/ChatMessages';
import { Composer } from '@/components/chat/Composer';
import { ConnectionBadge } from '@/components/chat/ConnectionBadge';
import { Sidebar } from '@/components/chat/Sidebar';
import { useConversationList } from '@/hooks/use-history';
import { conversationPath, navigate } from '@/hooks/use-route';
import { useTitle } from '@/hooks/use-title';
import { useWebSocketConversation } from '@/hooks/use-websocket-conversation';
import { conversationOpened, selectIsMissing } from '@/store/slices/conversationSlice';
import type { User } from '@/types/chat';

interface Props {
  user: User;
  /** The one that the address names. */
  conversation: string | null;
}

/** Conversations on the left, the open one on the right; on a phone the list is a drawer. */
export default function ChatPage({ user, conversation }: Props) {
  useWebSocketConversation();
  useOpenConversation(conversation);
  const list = useConversationList();
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const title = useCurrentTitle();
  const isMissing = useSelector((state) => selectIsMissing(state.conversation));
  useTitle(title);

  return (
    <div className="chat">
      {!isMissing && (
        <a className="skip-link" href="#composer">
          Skip to the message box
        </a>
      )}
      <aside className="chat__side" aria-label="Your conversations and account">
        <Sidebar user={user} loading={list.loading} onRetry={list.retry} />
      </aside>
      <main className="chat__main">
        <header className="chat__head">
          <Dialog.Root open={isDrawerOpen} onOpenChange={setDrawerOpen}>
            <Dialog.Trigger className="icon-button chat__menu" aria-label="Conversations">
              <Menu aria-hidden="true" />
            </Dialog.Trigger>
            <Dialog.Portal>
              <Dialog.Overlay className="drawer__shade" />
              <Dialog.Content className="drawer" aria-describedby={undefined}>
                <Dialog.Title className="visually-hidden">Conversations</Dialog.Title>
                <Sidebar
                  user={user}
                  loading={list.loading}
                  onRetry={list.retry}
                  onChosen={() => setDrawerOpen(false)}
                />
                <Dialog.Close className="icon-button drawer__close" aria-label="Close">
                  <X aria-hidden="true" />
                </Dialog.Close>
              </Dialog.Content>
            </Dialog.Portal>
          </Dialog.Root>
          <h1 className="chat__title">{title}</h1>
          <ConnectionBadge />
        </header>
        <ChatMessages />
        {!isMissing && <Composer />}
      </main>
    </div>
  );
}

/** The address bar and the store agree on what is open; a new conversation gets its address. */
function useOpenConversation(routed: string | null): void {
  const dispatch = useDispatch();
  const current = useSelector((state) => state.conversation.current?.uuid ?? null);

  useEffect(() => {
    dispatch(conversationOpened(routed));
  }, [routed, dispatch]);

  const isKnown = useSelector(({ conversation }) =>
    conversation.list.some((known) => known.uuid === current),
  );
  useEffect(() => {
    if (current !== null && isKnown && window.location.pathname === '/') {
      navigate(conversationPath(current), { replace: true });
    }
  }, [current, isKnown]);
}

function useCurrentTitle(): string {
  return useSelector(({ conversation }) => {
    const { current, list } = conversation;
    const known = list.find((one) => one.uuid === current?.uuid);
    if (selectIsMissing(conversation)) {
      return 'Not found';
    }
    return known?.title ?? (current === null ? 'New conversation' : 'Conversation');
  });
}
