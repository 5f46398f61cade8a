import { CircleAlert, Pencil } from 'lucide-react';
import { useRef, useState } from 'react';
import { useDispatch } from 'react-redux';
import { Markdown } from '@/components/chat/Markdown';
import { QuestionEditor } from '@/components/chat/QuestionEditor';
import { VersionPager } from '@/components/chat/VersionPager';
import { useAsking } from '@/hooks/use-asking';
import { useWebSocketContext } from '@/hooks/use-websocket-context';
import { isContinuation } from '@/lib/messages';
import type { Place } from '@/lib/tree';
import { messageDiscarded } from '@/store/slices/conversationSlice';
import type { ChatMessage } from '@/types/chat';

interface Props {
  place: Place;
  message: ChatMessage;
  conversationUuid: string;
}

export function Question({ place, message, conversationUuid }: Props) {
  const { ask } = useAsking();
  const [edited, setEdited] = useState<string | null>(null);
  const editButton = useRef<HTMLButtonElement>(null);
  const close = () => {
    setEdited(null);
    // It is there again when this has been rendered.
    requestAnimationFrame(() => editButton.current?.focus());
  };

  if (isContinuation(message)) {
    return message.delivery === undefined || message.delivery.state === 'accepted' ? null : (
      <li className="message message--question">
        <DeliveryNote message={message} conversationUuid={conversationUuid} />
      </li>
    );
  }
  if (edited === message.uuid) {
    return (
      <li className="message message--question">
        <QuestionEditor
          content={message.content}
          onCancel={close}
          onSend={(content) => {
            close();
            ask(content, { conversationUuid, edits: message.uuid });
          }}
        />
      </li>
    );
  }
  return (
    <li className="message message--question" data-delivery={message.delivery?.state ?? 'shown'}>
      <span className="visually-hidden">You asked:</span>
      <div className="message__bubble">
        <Markdown>{message.content}</Markdown>
      </div>
      <DeliveryNote message={message} conversationUuid={conversationUuid} />
      <div className="message__actions message__actions--question">
        <VersionPager place={place} conversationUuid={conversationUuid} />
        {message.delivery === undefined && (
          <button
            ref={editButton}
            type="button"
            className="text-button text-button--quiet"
            aria-label="Edit question"
            title="Edit and ask again"
            onClick={() => setEdited(message.uuid)}
          >
            <Pencil aria-hidden="true" />
          </button>
        )}
      </div>
    </li>
  );
}

function DeliveryNote({ message, conversationUuid }: Omit<Props, 'place'>) {
  const { askAgain } = useAsking();
  const { isConnected } = useWebSocketContext();
  const dispatch = useDispatch();
  const { delivery } = message;
  if (delivery?.state === 'sending') {
    return (
      <p className="message__note">
        {isConnected ? 'Sending…' : 'Sent as soon as you are back online.'}
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
