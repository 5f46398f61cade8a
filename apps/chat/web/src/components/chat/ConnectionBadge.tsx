import { ConnectionStatus, type ConnectionTexts } from 'tetherline/react';

const attempting = (attempt: number) => `Offline — reconnecting, attempt ${attempt}`;

const TEXTS: Partial<ConnectionTexts> = {
  // Whoever sees this page is signed in, so there is a reason why there will be none.
  signedOut: 'Not connected',
  notAccepted: 'Not connected, trying again',
  refused: 'Not connected',
  lost: 'Offline — reconnecting',
  reconnecting: attempting,
  reconnectingIn: (seconds, attempt) => `Reconnecting in ${seconds} s, attempt ${attempt}`,
  offline: attempting,
};

/** Whether what is on the screen is live. */
export function ConnectionBadge() {
  return (
    <ConnectionStatus
      className="badge"
      data-testid="connection-status"
      showConnected
      delayMs={0}
      texts={TEXTS}
    >
      <svg className="badge__line" viewBox="0 0 34 10" aria-hidden="true">
        <path d="M5 5 H29" />
        <circle cx="5" cy="5" r="3.5" />
        <circle cx="29" cy="5" r="3.5" />
      </svg>
    </ConnectionStatus>
  );
}
