import { type ReactNode, useState } from 'react';
import { useDispatch, useSelector, useStore } from 'react-redux';
import { toast } from 'sonner';
import { WebSocketInspector } from 'tetherline/inspector';
import { indexedDbOutbox } from 'tetherline/outbox';
import { toToasts, WebSocketInitializer as Tether } from 'tetherline/react';
import { useAuth } from '@/contexts/AuthContext';
import { isQuestion, showRestored } from '@/lib/asking';
import { SIGNED_OUT_ELSEWHERE_NOTICE, SIGNED_OUT_NOTICE } from '@/lib/session';
import type { AppStore } from '@/store';
import { selectUser, signedOut } from '@/store/slices/authSlice';
import { historyOutdated } from '@/store/slices/conversationSlice';

const { onServerError } = toToasts(({ kind, text, id }) => toast[kind](text, { id }));

/** Holds the signed-in user's one connection. */
export function WebSocketInitializer({ children }: { children?: ReactNode }) {
  const auth = useAuth();
  const dispatch = useDispatch();
  const store = useStore() as AppStore;
  const user = useSelector(selectUser);
  // A question that is asked without a network is sent even if the page is closed meanwhile.
  const [outbox] = useState(() =>
    indexedDbOutbox({ onRestored: (message, sent) => showRestored(store, message, sent) }),
  );

  return (
    <Tether
      user={user?.uuid ?? null}
      getToken={({ fresh }) => auth.getToken({ fresh })}
      outbox={outbox}
      debug={import.meta.env.DEV}
      onServerError={(error) => {
        // What became of a question is said where it stands; once is enough.
        if (!isQuestion(store.getState(), error.ref)) {
          onServerError(error);
        }
      }}
      onIdentityRefused={(refused, { isFinal }) => {
        // As long as there are tokens, the connection tries them. Somebody else may have signed in since.
        if (isFinal && selectUser(store.getState())?.uuid === refused) {
          // The cookie goes too, if the server still knows it; if not, it is worth nothing.
          auth.signOut(SIGNED_OUT_NOTICE).catch(() => undefined);
        }
      }}
      onSignedOutElsewhere={(gone) => {
        // What this browser remembers is left to the other tab: somebody may be signed in again.
        if (selectUser(store.getState())?.uuid === gone) {
          dispatch(signedOut({ notice: SIGNED_OUT_ELSEWHERE_NOTICE }));
        }
      }}
      onGap={() => dispatch(historyOutdated())}
    >
      {children}
      {/* In development; a build for production has an empty component here. */}
      <WebSocketInspector />
    </Tether>
  );
}
