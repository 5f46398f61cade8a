import type { ConnectionStatus } from 'tetherline';
import { useConnection, useTetherlineClient } from 'tetherline/react';

/** Whether what is on the screen is live. */
export function ConnectionBadge() {
  const status = useConnection((connection) => connection.status);
  const attempts = useConnection((connection) => connection.reconnectAttempts);
  const client = useTetherlineClient();
  const state = stateOf(status, attempts);
  const words = {
    connected: 'Connected',
    connecting: 'Connecting…',
    offline: 'Offline — reconnecting',
    none: 'Not connected',
  }[state];
  return (
    <div className="badge" data-state={state} data-testid="connection-status">
      <svg className="badge__line" viewBox="0 0 34 10" aria-hidden="true">
        <path d="M5 5 H29" />
        <circle cx="5" cy="5" r="3.5" />
        <circle cx="29" cy="5" r="3.5" />
      </svg>
      {/* The count is for the eye; having every attempt read out would drown everything else. */}
      <span role="status">{words}</span>
      {state === 'offline' && (
        <>
          <span>, attempt {attempts}</span>
          {/* Also there while an attempt is under way, so that nothing moves from under a finger. */}
          <button type="button" className="text-button badge__retry" onClick={client.reconnect}>
            Try now
          </button>
        </>
      )}
    </div>
  );
}

/** `none`: whoever sees this page is signed in, so there is a reason why there will be none. */
function stateOf(status: ConnectionStatus, attempts: number) {
  if (status === 'connected') {
    return 'connected';
  }
  if (status === 'signed_out' || status === 'refused') {
    return 'none';
  }
  return attempts > 0 ? 'offline' : 'connecting';
}
