import { ArrowUp, Square } from 'lucide-react';
import {
  type KeyboardEvent,
  type RefObject,
  type SubmitEvent,
  useEffect,
  useEffectEvent,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { useSelector } from 'react-redux';
import { QUESTION_LENGTH_COUNTED, QUESTION_LENGTH_MAX } from '@/constants/limits';
import { useAsking } from '@/hooks/use-asking';
import { useTextBox } from '@/hooks/use-text-box';
import { usePath } from '@/hooks/use-path';
import { isComposing } from '@/lib/composing';
import { awaitedOn, endOf } from '@/lib/unfinished';

/** Where questions are written. Every conversation keeps what was begun in it. */
export function Composer() {
  const conversation = useSelector((state) => state.conversation.current?.uuid ?? null);
  const { ask, stop } = useAsking();
  const path = usePath(conversation);
  const awaited = awaitedOn(path);
  const [drafts, setDrafts] = useState<Record<string, string>>({});
  const key = conversation ?? '';
  const text = drafts[key] ?? '';
  const box = useTextBox(text);
  const tooLong = Math.max(0, text.length - QUESTION_LENGTH_MAX);
  const canSend = text.trim() !== '' && tooLong === 0;

  useFocusOnOpening(box, conversation);
  const submit = (event: SubmitEvent | KeyboardEvent) => {
    event.preventDefault();
    if (canSend) {
      setDrafts({ ...drafts, [key]: '' });
      ask(text.trim(), { conversationUuid: conversation, parent: endOf(path) });
    }
    box.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method composes, both keys are its own.
    if (isComposing(event)) {
      return;
    }
    if (event.key === 'Enter' && !event.shiftKey) {
      submit(event);
    } else if (event.key === 'Escape' && awaited !== undefined) {
      event.preventDefault();
      stop(awaited);
    }
  };

  return (
    <form className="composer" onSubmit={submit}>
      <div className="composer__box" data-invalid={tooLong > 0}>
        <label htmlFor="composer" className="visually-hidden">
          Message
        </label>
        <textarea
          ref={box}
          id="composer"
          rows={1}
          value={text}
          placeholder="Ask anything"
          aria-describedby="composer-note"
          aria-invalid={tooLong > 0}
          onChange={(event) => setDrafts({ ...drafts, [key]: event.target.value })}
          aria-keyshortcuts={awaited === undefined ? undefined : 'Escape'}
          onKeyDown={onKeyDown}
        />
        {awaited !== undefined && (
          <StopButton
            onStop={() => {
              stop(awaited);
              box.current?.focus();
            }}
            onGone={() => box.current?.focus()}
          />
        )}
        {/* What is written meanwhile can be sent meanwhile. */}
        {(awaited === undefined || text !== '') && (
          <button type="submit" className="composer__send" aria-label="Send" disabled={!canSend}>
            <ArrowUp aria-hidden="true" />
          </button>
        )}
      </div>
      <p id="composer-note" className="composer__note" data-invalid={tooLong > 0}>
        {tooLong > 0 ? (
          <span role="alert">
            This message is {tooLong.toLocaleString()} {tooLong === 1 ? 'character' : 'characters'}{' '}
            too long. Shorten it, or send it in parts.
          </span>
        ) : text.length >= QUESTION_LENGTH_COUNTED ? (
          `${(QUESTION_LENGTH_MAX - text.length).toLocaleString()} characters left`
        ) : awaited !== undefined ? (
          <>
            <kbd>Esc</kbd> stops the answer
          </>
        ) : (
          <>
            <kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> starts a new line
          </>
        )}
      </p>
    </form>
  );
}

/** In the send button's place; if it has the focus when the answer ends, somebody has to take it. */
function StopButton({ onStop, onGone }: { onStop: () => void; onGone: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  const gone = useEffectEvent(onGone);

  useLayoutEffect(() => {
    const element = button.current;
    return () => {
      if (document.activeElement === element) {
        gone();
      }
    };
  }, []);

  return (
    <button
      ref={button}
      type="button"
      className="composer__send composer__stop"
      aria-label="Stop"
      aria-keyshortcuts="Escape"
      title="Stop (Esc)"
      onClick={onStop}
    >
      <Square aria-hidden="true" />
    </button>
  );
}

type Box = RefObject<HTMLTextAreaElement | null>;

/** With a mouse or keyboard at hand; on a touch screen it would throw up the keyboard unasked. */
function useFocusOnOpening(box: Box, conversation: string | null): void {
  useEffect(() => {
    if (window.matchMedia('(pointer: fine)').matches) {
      box.current?.focus({ preventScroll: true });
    }
  }, [box, conversation]);
}
