import { Component } from 'react';
import { withWebSocket, type WebSocketProps } from 'tetherline/react';

interface Props {
  label: string;
  websocket: WebSocketProps;
}

/** A class component gets the connection as a prop. */
class Badge extends Component<Props> {
  override render() {
    const { label, websocket } = this.props;
    const { isConnected, reconnectAttempts } = websocket;
    const words = isConnected
      ? 'Live'
      : reconnectAttempts > 0
        ? `Reconnecting, attempt ${reconnectAttempts}`
        : 'Connecting';
    return (
      <p role="status" aria-label={label} className={isConnected ? 'badge live' : 'badge'}>
        {words}
      </p>
    );
  }
}

export const ConnectionBadge = withWebSocket(Badge);
