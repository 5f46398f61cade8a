import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// Where `npm run dev` finds the chat backend: the address that it printed.
const backend = process.env.CHAT_BACKEND ?? 'http://127.0.0.1:8080';

/** The face of headings is asked for with the page, and not only when its style is known. */
const preloadedFace: Plugin = {
  name: 'preloaded-face',
  transformIndexHtml: {
    order: 'post',
    handler: (_, { bundle = {} }) =>
      Object.keys(bundle)
        .filter((file) => /source-serif.*\.woff2$/.test(file))
        .map((file) => ({
          tag: 'link',
          attrs: {
            rel: 'preload',
            href: `/${file}`,
            as: 'font',
            type: 'font/woff2',
            crossorigin: '',
          },
          injectTo: 'head',
        })),
  },
};

/** Of the typesetter's faces only the format that every browser reads which can run this page. */
const fewerFaces: Plugin = {
  name: 'fewer-faces',
  enforce: 'pre',
  transform: (code, id) =>
    id.endsWith('katex.min.css')
      ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, '')
      : null,
};

export default defineConfig({
  plugins: [react(), preloadedFace, fewerFaces],
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
    // By itself it leaves one core alone, and of two that is half.
    maxWorkers: '100%',
    silent: 'passed-only',
  },
});
