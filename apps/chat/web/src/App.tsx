import { lazy, Suspense, useEffect } from 'react';
import { useSelector } from 'react-redux';
import { AuthPage } from '@/components/auth/AuthPage';
import { navigate, useRoute } from '@/hooks/use-route';
import { selectPhase, selectUser } from '@/store/slices/authSlice';

// Fetched while the person still types a password: signing in needs nothing of it.
const loadChat = () => import('@/components/chat/ChatPage');
const ChatPage = lazy(loadChat);

/** The page that fits the address and who is signed in. */
export function App() {
  const phase = useSelector(selectPhase);
  const user = useSelector(selectUser);
  const route = useRoute();

  useEffect(() => void loadChat(), []);

  useEffect(() => {
    if (phase === 'signed_out' && route.page === 'chat') {
      navigate('/sign-in', { replace: true });
    }
    if (phase === 'signed_in' && route.page !== 'chat') {
      navigate('/', { replace: true });
    }
  }, [phase, route]);

  if (phase === 'restoring') {
    return null;
  }
  if (user === null) {
    const mode = route.page === 'sign-up' ? 'sign-up' : 'sign-in';
    return <AuthPage key={mode} mode={mode} />;
  }
  // Keyed, so that nothing that a component remembers of one person is there for the next.
  return (
    <Suspense>
      <ChatPage key={user.uuid} user={user} conversation={openConversation(route)} />
    </Suspense>
  );
}

function openConversation(route: ReturnType<typeof useRoute>): string | null {
  return route.page === 'chat' ? route.conversation : null;
}
