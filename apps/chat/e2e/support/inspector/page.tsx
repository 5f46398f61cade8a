import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { WebSocketInspector } from 'tetherline/inspector';
import { useWebSocketContext, useWebSocketHandlers, WebSocketInitializer } from 'tetherline/react';

function News() {
  const { isConnected, send } = useWebSocketContext();
  const [titles, setTitles] = useState<string[]>([]);
  useWebSocketHandlers({
    news: function showNews({ title }) {
      setTitles((known) => [...known, String(title)]);
    },
    broken: function fails() {
      throw new Error('No such conversation');
    },
  });
  return (
    <main>
      <h1>News</h1>
      <p data-testid="state">{isConnected ? 'online' : 'offline'}</p>
      <p data-testid="titles">{titles.join(', ')}</p>
      <label>
        Field <input />
      </label>
      <button onClick={() => void send({ type: 'ask' })}>Ask</button>
    </main>
  );
}

createRoot(document.body.appendChild(document.createElement('div'))).render(
  <StrictMode>
    <WebSocketInitializer
      user="user"
      url={new URLSearchParams(location.search).get('server') ?? location.origin}
      getToken={({ user, signal }) =>
        fetch(`/token?user=${user}`, { signal }).then((answer) => answer.text())
      }
      debug={false}
    >
      <News />
      <WebSocketInspector />
    </WebSocketInitializer>
  </StrictMode>,
);
