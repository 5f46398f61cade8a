import { Toaster } from 'sonner';
import { useTheme } from '@/hooks/use-theme';

/** Where toasts appear: at the top, so that they never cover what is being typed. */
export function Toasts() {
  const { theme } = useTheme();
  return (
    <Toaster
      theme={theme}
      position="top-right"
      // Below the header, so that the connection badge stays in view.
      offset={{ top: 72, right: 20 }}
      mobileOffset={{ top: 68 }}
      closeButton
      containerAriaLabel="Notices"
      toastOptions={{ className: 'toast' }}
    />
  );
}
