import { useLayoutEffect, useRef } from 'react';

/** A box that is as tall as its text, as far as its style lets it. */
export function useTextBox(text: string) {
  const box = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null) {
      // First back to one line: a box never shrinks below its own height.
      element.style.height = 'auto';
      element.style.height = `${element.scrollHeight}px`;
    }
  }, [text]);
  return box;
}
