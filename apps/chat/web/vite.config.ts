import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// Where `npm run dev` finds the chat backend: the address that it printed.
const backend = process.env.CHAT_BACKEND ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  server: {
    proxy: {
      // The backend serves pages of its own origin only.
      '/api': { target: backend, changeOrigin: true, headers: { origin: backend } },
      '/ws': { target: backend, changeOrigin: true, headers: { origin: backend }, ws: true },
    },
  },
  build: { target: 'es2022' },
  test: {
    environment: 'jsdom',
    globalSetup: ['tests/support/global-setup.ts'],
    setupFiles: ['tests/setup.ts'],
    include: ['tests/**/*.test.{ts,tsx}'],
    testTimeout: 20_000,
    silent: 'passed-only',
  },
});
