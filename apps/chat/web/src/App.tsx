import { useEffect } from 'react';
import { useSelector } from 'react-redux';
import { AuthPage } from '@/components/auth/AuthPage';
import { ChatPage } from '@/components/chat/ChatPage';
import { navigate, useRoute } from '@/hooks/use-route';
import { selectPhase, selectUser } from '@/store/slices/authSlice';

/** The page that fits the address and who is signed in. */
export function App() {
  const phase = useSelector(selectPhase);
  const user = useSelector(selectUser);
  const route = useRoute();

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
  return <ChatPage key={user.uuid} user={user} conversation={openConversation(route)} />;
}

function openConversation(route: ReturnType<typeof useRoute>): string | null {
  return route.page === 'chat' ? route.conversation : null;
}
