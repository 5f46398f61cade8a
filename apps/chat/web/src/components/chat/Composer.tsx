import { ArrowUp } from 'lucide-react';
import {
  type KeyboardEvent,
  type RefObject,
  type SubmitEvent,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { useSelector } from 'react-redux';
import { QUESTION_LENGTH_COUNTED, QUESTION_LENGTH_MAX } from '@/constants/limits';
import { useAsking } from '@/hooks/use-asking';

/** Where questions are written. Every conversation keeps what was begun in it. */
export function Composer() {
  const conversation = useSelector((state) => state.conversation.current?.uuid ?? null);
  const { ask } = useAsking();
  const box = useRef<HTMLTextAreaElement>(null);
  const [drafts, setDrafts] = useState<Record<string, string>>({});
  const key = conversation ?? '';
  const text = drafts[key] ?? '';
  const tooLong = Math.max(0, text.length - QUESTION_LENGTH_MAX);
  const canSend = text.trim() !== '' && tooLong === 0;

  useFocusOnOpening(box, conversation);
  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null) {
      // First back to one line: a box never shrinks below its own height.
      element.style.height = 'auto';
      element.style.height = `${element.scrollHeight}px`;
    }
  }, [text]);

  const submit = (event: SubmitEvent | KeyboardEvent) => {
    event.preventDefault();
    if (canSend) {
      setDrafts({ ...drafts, [key]: '' });
      ask(text.trim(), conversation);
    }
    box.current?.focus();
  };
  const sendOnEnter = (event: KeyboardEvent) => {
    // While an input method composes, Enter chooses a character.
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      submit(event);
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
          onKeyDown={sendOnEnter}
        />
        <button type="submit" className="composer__send" aria-label="Send" disabled={!canSend}>
          <ArrowUp aria-hidden="true" />
        </button>
      </div>
      <p id="composer-note" className="composer__note" data-invalid={tooLong > 0}>
        {tooLong > 0 ? (
          <span role="alert">
            This message is {tooLong.toLocaleString()} {tooLong === 1 ? 'character' : 'characters'}{' '}
            too long. Shorten it, or send it in parts.
          </span>
        ) : text.length >= QUESTION_LENGTH_COUNTED ? (
          `${(QUESTION_LENGTH_MAX - text.length).toLocaleString()} characters left`
        ) : (
          <>
            <kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> starts a new line
          </>
        )}
      </p>
    </form>
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
