import { useCallback, useLayoutEffect, useRef, useState } from 'react';

/** How close to the end still counts as reading along, in CSS pixels. */
const NEAR_BOTTOM_PX = 64;

/** `above`: the person reads further up; `behind`: and something new has come below. */
export type ScrollPosition = 'bottom' | 'above' | 'behind';

/**
 * Keeps the end in view as it moves on, unless the person has scrolled away from it. `last` names what
 * stands there; `isOwn`: the person has just asked it.
 */
export function useStickToBottom(last: string, isOwn: boolean) {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const isStuck = useRef(true);
  const lastTop = useRef(0);
  // The last message that was in view when the person scrolled away; null while at the bottom.
  const [leftAt, setLeftAt] = useState<string | null>(null);

  const toBottom = useCallback(() => {
    isStuck.current = true;
    setLeftAt(null);
    scrollToEnd(scroller.current);
    // The button that was pressed goes; whoever reads by keyboard reads on.
    scroller.current?.focus({ preventScroll: true });
  }, []);

  useLayoutEffect(() => {
    const follow = () => {
      if (isStuck.current) {
        scrollToEnd(scroller.current);
      }
    };
    const observer = new ResizeObserver(follow);
    for (const element of [scroller.current, content.current]) {
      if (element !== null) {
        observer.observe(element);
      }
    }
    follow();
    return () => observer.disconnect();
  }, []);

  // Who asks wants to see it asked.
  useLayoutEffect(() => {
    if (isOwn) {
      isStuck.current = true;
      scrollToEnd(scroller.current);
    }
  }, [isOwn, last]);

  const onScroll = () => {
    const element = scroller.current;
    if (element === null) {
      return;
    }
    const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
    // Only scrolling up lets go of the end: a resized window also moves it out of view.
    const movedUp = element.scrollTop < lastTop.current;
    lastTop.current = element.scrollTop;
    isStuck.current = rest < NEAR_BOTTOM_PX || (isStuck.current && !movedUp);
    setLeftAt((known) => (isStuck.current ? null : (known ?? last)));
  };

  const position: ScrollPosition =
    leftAt === null ? 'bottom' : leftAt === last ? 'above' : 'behind';
  return { scroller, content, onScroll, toBottom, position };
}

function scrollToEnd(element: HTMLElement | null): void {
  if (element !== null) {
    element.scrollTop = element.scrollHeight;
  }
}
