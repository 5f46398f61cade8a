import { useEffect, useEffectEvent } from 'react';

/**
 * Escape closes this, and nothing around it. A dialog listens at the document before any element is
 * asked, so what is open within it has to be asked before that.
 */
export function useEscape(isOpen: boolean, onEscape: () => void): void {
  const close = useEffectEvent(onEscape);

  useEffect(() => {
    if (!isOpen) {
      return;
    }
    const listen = (event: KeyboardEvent) => {
      if (event.key === 'Escape') {
        event.preventDefault();
        event.stopPropagation();
        close();
      }
    };
    window.addEventListener('keydown', listen, { capture: true });
    return () => window.removeEventListener('keydown', listen, { capture: true });
  }, [isOpen]);
}
