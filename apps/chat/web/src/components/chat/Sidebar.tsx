import { Plus } from 'lucide-react';
import type { MouseEvent } from 'react';
import { useDispatch, useSelector } from 'react-redux';
import { AccountMenu } from '@/components/chat/AccountMenu';
import { TetherMark } from '@/components/ui/TetherMark';
import { conversationPath, navigate } from '@/hooks/use-route';
import { useToday } from '@/hooks/use-today';
import { exactTimeOf, grouped, periodOf, shortTimeOf } from '@/lib/time';
import { conversationOpened, type Loading, selectDrafts } from '@/store/slices/conversationSlice';
import type { User } from '@/types/chat';

interface Props {
  user: User;
  loading: Loading;
  onRetry: () => void;
  /** After something was opened: the drawer closes. */
  onChosen?: () => void;
}

/** The person's conversations, the way to a new one, and the account. */
export function Sidebar({ user, loading, onRetry, onChosen }: Props) {
  const dispatch = useDispatch();
  const open = (path: string, uuid: string | null) => (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) {
      return;
    }
    event.preventDefault();
    navigate(path);
    // The address of an unnamed new conversation is the one of the next: it alone says nothing.
    dispatch(conversationOpened(uuid));
    onChosen?.();
  };
  return (
    <div className="sidebar">
      <p className="brand">
        <TetherMark />
        Tetherline
      </p>
      <a className="button button--wide sidebar__new" href="/" onClick={open('/', null)}>
        <Plus aria-hidden="true" />
        New conversation
      </a>
      <nav className="sidebar__list" aria-label="Conversations">
        <ConversationList loading={loading} onRetry={onRetry} open={open} />
      </nav>
      <AccountMenu user={user} />
    </div>
  );
}

interface ListProps extends Pick<Props, 'loading' | 'onRetry'> {
  open: (path: string, uuid: string | null) => (event: MouseEvent) => void;
}

function ConversationList({ loading, onRetry, open }: ListProps) {
  const list = useSelector((state) => state.conversation.list);
  const drafts = useSelector((state) => selectDrafts(state.conversation));
  const current = useSelector((state) => state.conversation.current?.uuid);
  const today = useToday();
  if (list.length + drafts.length === 0 && loading.state === 'loading') {
    return <ListSkeleton />;
  }
  return (
    <>
      {loading.state === 'failed' && (
        <div className="sidebar__note" role="status">
          <p>{loading.reason}</p>
          <button type="button" className="text-button" onClick={onRetry}>
            Try again
          </button>
        </div>
      )}
      {list.length + drafts.length === 0 && loading.state === 'ready' && (
        <p className="sidebar__note">No conversations yet. Your first question starts one.</p>
      )}
      {drafts.length > 0 && (
        <ul>
          {drafts.map(({ uuid, content, delivery }) => (
            <li key={uuid}>
              {/* The server knows no address of it. */}
              <a
                className="sidebar__item"
                href="/"
                aria-current={uuid === current ? 'page' : undefined}
                onClick={open('/', uuid)}
              >
                <span className="sidebar__title">{content}</span>
                <small>{delivery?.state === 'failed' ? 'Not sent' : 'Sending…'}</small>
              </a>
            </li>
          ))}
        </ul>
      )}
      {grouped(list, ({ updated_at }) => periodOf(updated_at, today)).map(({ label, items }) => (
        <section key={label} aria-label={label}>
          <h2 className="sidebar__period">{label}</h2>
          <ul>
            {items.map(({ uuid, title, updated_at }) => (
              <li key={uuid}>
                <a
                  className="sidebar__item"
                  href={conversationPath(uuid)}
                  title={`${title}\n${exactTimeOf(updated_at)}`}
                  aria-current={uuid === current ? 'page' : undefined}
                  onClick={open(conversationPath(uuid), uuid)}
                >
                  <span className="sidebar__title">{title}</span>
                  <time dateTime={updated_at} title={exactTimeOf(updated_at)}>
                    {shortTimeOf(updated_at, today)}
                  </time>
                </a>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function ListSkeleton() {
  return (
    <div className="skeletons" role="status">
      <span className="visually-hidden">Loading your conversations</span>
      {[78, 56, 68, 44].map((width) => (
        <span key={width} className="skeleton" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}
