import { Toaster } from 'sonner';
import { useTheme } from '@/hooks/use-theme';

/** Where toasts appear: at the top, so that they never cover what is being typed. */
export function Toasts() {
  const { theme } = useTheme();
  return (
    <Toaster
      theme={theme}
      position="top-right"
      closeButton
      containerAriaLabel="Notices"
      toastOptions={{ className: 'toast' }}
    />
  );
}
