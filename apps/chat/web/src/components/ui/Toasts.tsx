import { useEffect } from 'react';
import { useSelector } from 'react-redux';
import { toast, Toaster } from 'sonner';
import { useTheme } from '@/hooks/use-theme';
import { selectUser } from '@/store/slices/authSlice';

/** Where toasts appear: at the top, so that they never cover what is being typed. */
export function Toasts() {
  const { theme } = useTheme();
  const user = useSelector(selectUser)?.uuid;

  // What one person was told is not for the next.
  useEffect(() => () => void toast.dismiss(), [user]);

  return (
    <Toaster
      theme={theme}
      position="top-right"
      // Below the header, so that the connection badge stays in view, on a phone as the strip too.
      offset={{ top: 72, right: 20 }}
      mobileOffset={{ top: 104 }}
      closeButton
      containerAriaLabel="Notices"
      toastOptions={{ className: 'toast' }}
    />
  );
}
