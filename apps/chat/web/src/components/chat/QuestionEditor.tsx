import { type KeyboardEvent, type SubmitEvent, useEffect, useState } from 'react';
import { QUESTION_LENGTH_MAX } from '@/constants/limits';
import { useTextBox } from '@/hooks/use-text-box';
import { isComposing } from '@/lib/composing';

interface Props {
  content: string;
  onSend: (content: string) => void;
  onCancel: () => void;
}

/** A question, to be asked in other words, in its own place. */
export function QuestionEditor({ content, onSend, onCancel }: Props) {
  const [text, setText] = useState(content);
  const box = useTextBox(text);
  const canSend = text.trim() !== '' && text.length <= QUESTION_LENGTH_MAX;

  useEffect(() => {
    const element = box.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, [box]);

  const submit = (event: SubmitEvent | KeyboardEvent) => {
    event.preventDefault();
    if (text.trim() === content) {
      onCancel();
    } else if (canSend) {
      onSend(text.trim());
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method composes, both keys are its own.
    if (isComposing(event)) {
      return;
    }
    if (event.key === 'Escape') {
      event.preventDefault();
      onCancel();
    } else if (event.key === 'Enter' && !event.shiftKey) {
      submit(event);
    }
  };

  return (
    <form className="editor" onSubmit={submit}>
      <textarea
        ref={box}
        rows={1}
        value={text}
        maxLength={QUESTION_LENGTH_MAX}
        aria-label="Edit question"
        aria-keyshortcuts="Enter Escape"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="editor__actions">
        <button
          type="button"
          className="button button--small button--quiet"
          title="Cancel (Esc)"
          onClick={onCancel}
        >
          Cancel
        </button>
        <button
          type="submit"
          className="button button--small"
          title="Ask (Enter)"
          disabled={!canSend}
        >
          Ask
        </button>
      </div>
    </form>
  );
}
