import { lazy, Suspense, useEffect, useRef } from 'react';
import { useSelector } from 'react-redux';
import { AuthPage } from '@/components/auth/AuthPage';
import { conversationPath, navigate, type Route, signInPath, useRoute } from '@/hooks/use-route';
import { SIGNED_OUT_NOTICE } from '@/lib/session';
import { selectNotice, selectPhase, selectUser } from '@/store/slices/authSlice';

// Fetched while the person still types a password: signing in needs nothing of it.
const loadChat = () => import('@/components/chat/ChatPage');
const ChatPage = lazy(loadChat);

/** The page that fits the address and who is signed in. */
export function App() {
  const phase = useSelector(selectPhase);
  const user = useSelector(selectUser);
  const route = useRoute();

  useEffect(() => void loadChat(), []);

  useAddressForPhase(route);

  if (phase === 'restoring') {
    return null;
  }
  if (user === null) {
    const mode = route.page === 'sign-up' ? 'sign-up' : 'sign-in';
    const next = 'next' in route ? route.next : null;
    return <AuthPage key={mode} mode={mode} next={next} />;
  }
  // Keyed, so that nothing that a component remembers of one person is there for the next.
  return (
    <Suspense>
      <ChatPage key={user.uuid} user={user} conversation={openConversation(route)} />
    </Suspense>
  );
}

/** Signing in leads back to where the link led, but never one person to what another was reading. */
function useAddressForPhase(route: Route): void {
  const phase = useSelector(selectPhase);
  const hasEnded = useSelector(selectNotice) === SIGNED_OUT_NOTICE;
  const wasSignedIn = useRef(false);

  useEffect(() => {
    const isAuth = route.page === 'sign-in' || route.page === 'sign-up';
    if (phase === 'signed_out' && !isAuth) {
      const isWanted = hasEnded || !wasSignedIn.current;
      navigate(signInPath('sign-in', isWanted ? openConversation(route) : null), { replace: true });
    }
    if (phase === 'signed_in' && route.page !== 'chat') {
      const next = isAuth ? route.next : null;
      navigate(next === null ? '/' : conversationPath(next), { replace: true });
    }
    wasSignedIn.current ||= phase === 'signed_in';
  }, [phase, hasEnded, route]);
}

function openConversation(route: Route): string | null {
  return route.page === 'chat' ? route.conversation : null;
}
