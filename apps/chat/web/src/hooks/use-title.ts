import { useEffect } from 'react';

/** The document's title, in front of the product's name. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Tetherline`;
  }, [title]);
}
