import { useEffect } from 'react';
import { useConnection } from 'tetherline/react';

/** What has not been sent lives in this page: leaving it then asks first. */
export function useUnsentWarning(): void {
  const hasUnsent = useConnection((connection) => connection.outboxLength > 0);

  useEffect(() => {
    if (!hasUnsent) {
      return;
    }
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', warn);
    return () => window.removeEventListener('beforeunload', warn);
  }, [hasUnsent]);
}
