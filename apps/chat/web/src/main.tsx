import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from '@/App';
import { AppProviders } from '@/components/providers/AppProviders';
import '@/styles/index.css';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('index.html has no element with the id `root`.');
}

createRoot(root).render(
  <StrictMode>
    <AppProviders>
      <App />
    </AppProviders>
  </StrictMode>,
);
