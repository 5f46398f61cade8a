import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

const installed = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  test: {
    testTimeout: 15_000,
    // By itself it leaves one core alone, and of two that is half.
    maxWorkers: '100%',
    projects: [
      { extends: true, test: { name: 'react-19', include: ['tests/**/*.test.{ts,tsx}'] } },
      {
        extends: true,
        resolve: {
          alias: [
            {
              find: /^(react|react-dom)(\/.*)?$/,
              replacement: `${installed('../react-18/node_modules/')}$1$2`,
            },
            {
              // As modules, or their `require` would find the current React.
              find: '@testing-library/react',
              replacement: installed(
                '../../node_modules/@testing-library/react/dist/@testing-library/react.esm.js',
              ),
            },
          ],
        },
        test: {
          name: 'react-18',
          include: ['tests/**/*.test.tsx'],
          server: {
            deps: { inline: [/@testing-library\/react/, /react-redux/, /react-query/, /zustand/] },
          },
        },
      },
    ],
  },
});
