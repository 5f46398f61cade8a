import { useCallback, useEffect, useState } from 'react';
import { useDispatch, useSelector } from 'react-redux';
import { useTetherlineClient } from 'tetherline/react';
import { listConversations, readMessages } from '@/api/conversations';
import { isNotFound, isUnauthorized } from '@/api/http';
import { useAuth } from '@/contexts/AuthContext';
import type { AuthSession } from '@/lib/session';
import {
  conversationMissing,
  historyLoaded,
  historyLoadingChanged,
  listLoaded,
  listLoadingChanged,
  type Loading,
} from '@/store/slices/conversationSlice';

/** Reads the conversation list, again after a gap. Returns its state and a retry. */
export function useConversationList(): { loading: Loading; retry: () => void } {
  const auth = useAuth();
  const client = useTetherlineClient();
  const dispatch = useDispatch();
  const loading = useSelector((state) => state.conversation.listLoading);
  const generation = useSelector((state) => state.conversation.generation);
  const { tries, retry } = useTries(loading);

  useEffect(() => {
    const abort = new AbortController();
    dispatch(listLoadingChanged({ state: 'loading' }));
    withToken(auth, (token) => listConversations({ token, signal: abort.signal }))
      .then(({ conversations, as_of_seq }) => {
        if (!abort.signal.aborted) {
          client.historyAsOf(as_of_seq);
          dispatch(listLoaded(conversations));
        }
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) {
          dispatch(listLoadingChanged({ state: 'failed', reason: reasonOf(error) }));
        }
      });
    return () => abort.abort();
  }, [auth, client, dispatch, generation, tries]);

  return { loading, retry };
}

/** Reads the messages of the conversation. One that only this page knows has none to read. */
export function useConversationHistory(uuid: string | null): { retry: () => void } {
  const auth = useAuth();
  const client = useTetherlineClient();
  const dispatch = useDispatch();
  const generation = useSelector((state) => state.conversation.generation);
  const isDraft = useSelector(({ conversation }) =>
    uuid === null
      ? false
      : (conversation.messages[uuid] ?? []).some(
          (message) => message.uuid === uuid && message.delivery !== undefined,
        ),
  );
  const loading = useSelector((state) => state.conversation.historyLoading[uuid ?? '']);
  const { tries, retry } = useTries(loading);

  useEffect(() => {
    if (uuid === null || isDraft) {
      return;
    }
    const abort = new AbortController();
    const changed = (loading: Loading) =>
      dispatch(historyLoadingChanged({ conversationUuid: uuid, loading }));
    changed({ state: 'loading' });
    withToken(auth, (token) => readMessages(uuid, { token, signal: abort.signal }))
      .then(({ conversation, messages, pending = [], as_of_seq }) => {
        if (!abort.signal.aborted) {
          client.historyAsOf(as_of_seq);
          dispatch(historyLoaded({ conversation, messages, pending, asOf: as_of_seq }));
        }
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) {
          if (isNotFound(error)) {
            dispatch(conversationMissing(uuid));
          } else {
            changed({ state: 'failed', reason: reasonOf(error) });
          }
        }
      });
    return () => abort.abort();
  }, [uuid, isDraft, auth, client, dispatch, generation, tries]);

  return { retry };
}

/** Counts the tries: what has failed is tried again when asked for, and with a new connection. */
function useTries(loading: Loading | undefined): { tries: number; retry: () => void } {
  const client = useTetherlineClient();
  const hasFailed = loading?.state === 'failed';
  const [tries, setTries] = useState(0);
  const retry = useCallback(() => setTries((count) => count + 1), []);

  useEffect(() => {
    if (!hasFailed) {
      return;
    }
    let wasConnected = client.getSnapshot().isConnected;
    return client.subscribe(() => {
      const { isConnected } = client.getSnapshot();
      if (isConnected && !wasConnected) {
        retry();
      }
      wasConnected = isConnected;
    });
  }, [client, hasFailed, retry]);

  return { tries, retry };
}

/** Asks with the token at hand; if the server does not take it, once more with a fresh one. */
async function withToken<T>(auth: AuthSession, ask: (token: string) => Promise<T>): Promise<T> {
  const token = await auth.getToken();
  try {
    return await ask(required(token));
  } catch (error) {
    if (!isUnauthorized(error)) {
      throw error;
    }
    return ask(required(await auth.getToken({ fresh: true })));
  }
}

function required(token: string | null): string {
  if (token === null) {
    throw new Error('You are signed out.');
  }
  return token;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'Something went wrong. Try again.';
}
