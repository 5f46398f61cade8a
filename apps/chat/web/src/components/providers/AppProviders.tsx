import { type ReactNode, useState } from 'react';
import { Provider } from 'react-redux';
import { AuthInitializer } from '@/components/providers/AuthInitializer';
import { AuthProvider } from '@/components/providers/AuthProvider';
import { WebSocketInitializer } from '@/components/providers/WebSocketInitializer';
import { Toasts } from '@/components/ui/Toasts';
import { type AppStore, createStore } from '@/store';

interface Props {
  /** Tests bring their own. */
  store?: AppStore;
  children?: ReactNode;
}

/** Everything that the application stands on, in the order in which it depends on each other. */
export function AppProviders({ store, children }: Props) {
  const [ownStore] = useState(() => store ?? createStore());
  return (
    <Provider store={store ?? ownStore}>
      <AuthInitializer>
        <AuthProvider>
          <WebSocketInitializer>
            {children}
            <Toasts />
          </WebSocketInitializer>
        </AuthProvider>
      </AuthInitializer>
    </Provider>
  );
}
