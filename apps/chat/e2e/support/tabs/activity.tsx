import { Activity, useState, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import {
  useHold,
  useWebSocketContext,
  useWebSocketHandlers,
  WebSocketInitializer,
} from 'tetherline/react';

const parameters = new URLSearchParams(location.search);

function News() {
  const [seqs, setSeqs] = useState<number[]>([]);
  useWebSocketHandlers({
    news: (_message, { seq }) => setSeqs((known) => [...known, seq ?? 0]),
  });
  return <p data-testid="shown">{seqs.join(' ')}</p>;
}

/** Whether a hidden child's messages wait for it. */
function Page({ children }: { children: ReactNode }) {
  useHold('news');
  return children;
}

function App() {
  const { isConnected } = useWebSocketContext();
  const [arrived, setArrived] = useState(0);
  const [isHidden, setHidden] = useState(false);
  useWebSocketHandlers({ '*': () => setArrived((count) => count + 1) });
  return (
    <>
      <p data-testid="state">{isConnected ? 'online' : 'offline'}</p>
      <p data-testid="arrived">{arrived}</p>
      <button onClick={() => setHidden(!isHidden)}>{isHidden ? 'Show' : 'Hide'}</button>
      <Activity mode={isHidden ? 'hidden' : 'visible'}>
        <News />
      </Activity>
    </>
  );
}

createRoot(document.body.appendChild(document.createElement('div'))).render(
  <WebSocketInitializer
    user={parameters.get('user')}
    url={parameters.get('server') ?? ''}
    getToken={async ({ user, signal }) => {
      const response = await fetch(`/token?user=${user}`, { signal });
      if (!response.ok) throw new Error(`No token: ${response.status}`);
      return response.text();
    }}
    debug={false}
  >
    <Page>
      <App />
    </Page>
  </WebSocketInitializer>,
);
