import { useEffect, useState } from 'react';
import { ConnectionStatus, WebSocketInitializer } from 'tetherline/react';
import 'tetherline/status.css';

import { currentSession, getToken, type Session, signIn, signOut } from './backend.ts';
import { ConnectionBadge } from './ConnectionBadge.tsx';
import { Notes } from './Notes.tsx';
import { SignIn } from './SignIn.tsx';

export function App() {
  const [session, setSession] = useState<Session>();
  const [problem, setProblem] = useState('');

  const follow = (next: Promise<Session>) => {
    next.then(
      (session) => {
        setProblem('');
        setSession(session);
      },
      (error: unknown) => setProblem(String(error)),
    );
  };
  useEffect(() => follow(currentSession()), []);

  return (
    <>
      {problem && <p role="alert">{problem}</p>}
      {session && (
        <WebSocketInitializer
          url={session.tetherline}
          user={session.user}
          getToken={getToken}
          // Only looks who is signed in now: in another tab it may be somebody else already.
          onIdentityRefused={() => follow(currentSession())}
          onSignedOutElsewhere={() => follow(currentSession())}
        >
          {session.user === null ? (
            <SignIn onSignIn={(user) => follow(signIn(user))} />
          ) : (
            <Home user={session.user} onSignOut={(user) => follow(signOut(user))} />
          )}
        </WebSocketInitializer>
      )}
    </>
  );
}

function Home({ user, onSignOut }: { user: string; onSignOut: (user: string) => void }) {
  return (
    <main>
      <header>
        <h1>Notes of {user}</h1>
        <ConnectionBadge label="Connection" />
        <button className="quiet" onClick={() => onSignOut(user)}>
          Sign out
        </button>
      </header>
      {/* Nobody sees for a moment what somebody else has got. */}
      <Notes key={user} user={user} />
      <ConnectionStatus />
    </main>
  );
}
