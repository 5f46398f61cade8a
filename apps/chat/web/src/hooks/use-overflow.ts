import { type RefCallback, type UIEvent, useCallback, useState } from 'react';

/** Where there is more than fits, if anywhere. */
type More = 'none' | 'start' | 'end' | 'both';

interface Scrolled<T> {
  ref: RefCallback<T>;
  'data-more': More;
  role: 'group' | undefined;
  'aria-label': string | undefined;
  tabIndex: 0 | undefined;
  onScroll: (event: UIEvent<T>) => void;
}

/** Less than this is rounding, in CSS pixels. */
const SLACK_PX = 2;

/**
 * For what scrolls sideways if its only child is wider: says at which edge there is more, for a hint,
 * and lets the keyboard in only if there is something to scroll.
 */
export function useOverflow<T extends HTMLElement>(label: string): Scrolled<T> {
  const [more, setMore] = useState<More>('none');

  const ref = useCallback((element: T) => {
    const observer = new ResizeObserver(() => setMore(moreOf(element)));
    observer.observe(element);
    if (element.firstElementChild !== null) {
      observer.observe(element.firstElementChild);
    }
    return () => observer.disconnect();
  }, []);

  const scrolls = more !== 'none';
  return {
    ref,
    'data-more': more,
    role: scrolls ? 'group' : undefined,
    'aria-label': scrolls ? label : undefined,
    tabIndex: scrolls ? 0 : undefined,
    onScroll: ({ currentTarget }) => setMore(moreOf(currentTarget)),
  };
}

function moreOf({ scrollLeft, scrollWidth, clientWidth }: HTMLElement): More {
  const before = scrollLeft > SLACK_PX;
  const after = scrollWidth - clientWidth - scrollLeft > SLACK_PX;
  if (before && after) {
    return 'both';
  }
  return before ? 'start' : after ? 'end' : 'none';
}
