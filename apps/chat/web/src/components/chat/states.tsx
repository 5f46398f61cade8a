import { CloudOff, Compass } from 'lucide-react';
import { useSelector } from 'react-redux';
import { TetherMark } from '@/components/ui/TetherMark';
import { navigate } from '@/hooks/use-route';
import { useAsking } from '@/hooks/use-asking';
import { selectUser } from '@/store/slices/authSlice';

const IDEAS = [
  'Explain how a rope bridge carries its load',
  'Write a Rust function that reverses the words of a sentence',
  'Compare three ways to learn a language, as a table',
];

/** Before the first question. */
export function EmptyConversation() {
  const user = useSelector(selectUser);
  const { ask } = useAsking();
  const firstName = user?.name.trim().split(/\s+/)[0];
  return (
    <div className="blank">
      <TetherMark size={52} />
      <h2>{firstName === undefined ? 'Ask away.' : `Ask away, ${firstName}.`}</h2>
      <p>Your answer arrives even if the network drops while you wait.</p>
      <ul className="ideas">
        {IDEAS.map((idea) => (
          <li key={idea}>
            <button
              type="button"
              className="idea"
              onClick={() => ask(idea, { conversationUuid: null })}
            >
              {idea}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The address names no conversation, or none of this person's. */
export function ConversationNotFound() {
  return (
    <div className="blank" role="alert">
      <Compass className="blank__icon" aria-hidden="true" />
      <h2>Conversation not found</h2>
      <p>The link may be incomplete, or the conversation belongs to another account.</p>
      <div className="blank__actions">
        <button type="button" className="button" onClick={() => navigate('/')}>
          Start a new conversation
        </button>
      </div>
    </div>
  );
}

/** A conversation that could not be read. */
export function HistoryFailed({ reason, onRetry }: { reason: string; onRetry: () => void }) {
  return (
    <div className="blank" role="alert">
      <CloudOff className="blank__icon" aria-hidden="true" />
      <h2>This conversation did not load</h2>
      <p>{reason}</p>
      <div className="blank__actions">
        <button type="button" className="button" onClick={onRetry}>
          Try again
        </button>
        <button type="button" className="button button--quiet" onClick={() => navigate('/')}>
          New conversation
        </button>
      </div>
    </div>
  );
}

/** Above what came over the connection, when what was before it could not be read. */
export function EarlierMissing({ reason, onRetry }: { reason: string; onRetry: () => void }) {
  return (
    <div className="notice messages__missing" role="status">
      <p>Earlier messages did not load. {reason}</p>
      <button type="button" className="text-button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}

/** While it is being read. */
export function HistorySkeleton() {
  return (
    <div className="messages">
      <div className="messages__column skeletons" role="status">
        <span className="visually-hidden">Loading the conversation</span>
        <span className="skeleton skeleton--question" />
        <span className="skeleton" style={{ width: '82%' }} />
        <span className="skeleton" style={{ width: '94%' }} />
        <span className="skeleton" style={{ width: '61%' }} />
      </div>
    </div>
  );
}
