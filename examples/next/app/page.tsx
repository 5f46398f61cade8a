import { Suspense } from 'react';
import { ConnectionStatus } from 'tetherline/react';
import 'tetherline/status.css';

import { signedIn } from '@/lib/session';
import { address } from '@/lib/tetherline';

import { signIn, signOut } from './actions';
import { ConnectionBadge } from './connection-badge';
import { Live } from './live';
import { Notes } from './notes';

export default function Page() {
  return (
    <main>
      <Suspense fallback={<p className="hint">One moment …</p>}>
        <Home />
      </Suspense>
    </main>
  );
}

/** The server knows who asks, and renders the page for them; the browser connects. */
async function Home() {
  const user = await signedIn();
  return (
    <Live url={address()} user={user}>
      {user === null ? (
        <SignIn />
      ) : (
        <>
          <header>
            <h1>Notes of {user}</h1>
            <ConnectionBadge label="Connection" />
            <form action={signOut.bind(null, user)}>
              <button className="quiet">Sign out</button>
            </form>
          </header>
          {/* Nobody sees for a moment what somebody else has got. */}
          <Notes key={user} user={user} />
          <ConnectionStatus />
        </>
      )}
    </Live>
  );
}

function SignIn() {
  return (
    <>
      <h1>Notes</h1>
      <p>Sign in under any name, then write to somebody who has another one.</p>
      <form action={signIn}>
        <label>
          Your name
          <input name="user" required pattern="[a-z0-9]{1,32}" title="Small letters and digits" />
        </label>
        <button>Sign in</button>
      </form>
    </>
  );
}
