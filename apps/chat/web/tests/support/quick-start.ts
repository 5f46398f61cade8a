import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How a block of the quick start becomes a module: what stands before it and what after it. */
interface Frame {
  before?: string;
  after?: string;
  /** The one ellipsis of the document, and what it stands for. */
  replace?: [string, string];
}

const GENERATED = join(import.meta.dirname, '../fixtures/generated/');
const DOCUMENT = join(import.meta.dirname, '../fixtures/websocket-quick-start.md');

const REACT = `import React, { useEffect, useMemo } from 'react'\n`;
const CONTEXT = `import { useWebSocketContext } from '@/hooks/use-websocket-context'\n`;
const OPEN = (...names: string[]) =>
  `import { ${names.join(', ')} } from '../../support/open-names'\n`;

/** Statements that the document takes out of a component go back into one. */
function inComponent(before = '', head = '', tail = ''): Frame {
  return {
    before: `${REACT}${before}\nexport const Fragment = () => {\n${head}\n`,
    after: `\n${tail}\nreturn null\n}\n`,
  };
}

const REGISTER = 'const { registerHandlers } = useWebSocketContext()';
const IS_CONNECTED = 'const { isConnected } = useWebSocketContext()';

/** Every TypeScript block of the document, in its order, by a name of ours. */
const FRAMES = {
  hook: { before: REACT, after: 'export { MyComponent }' },
  redux: { after: 'export { ChatWindow }' },
  hoc: { before: REACT },
  'real-world': { before: REACT },
  constants: {
    after:
      'export { MESSAGE_GENERATE, MESSAGE_REGENERATE, CONNECTION_ESTABLISHED, PONG, ' +
      'PENDING_CHECK_COMPLETE, ERROR, PING, GET_PENDING }',
  },
  send: inComponent(CONTEXT),
  'request-pending': inComponent(CONTEXT),
  status: inComponent(CONTEXT),
  features: {
    before:
      REACT +
      CONTEXT +
      OPEN(
        'handleMessage',
        'handleNewNotification',
        'handleUpdateNotification',
        'handleDeleteNotification',
      ),
    after: 'export { App }',
  },
  'handler-errors': inComponent(CONTEXT + OPEN('handleMessage', 'showErrorToast'), REGISTER),
  'debug-status': inComponent(CONTEXT),
  'debug-handlers': inComponent(CONTEXT),
  mock: {
    before:
      `import { expect, it, vi as jest } from 'vitest'\n` +
      `import { MyComponent } from './hook'\n`,
  },
  'clean-up': {
    ...inComponent(CONTEXT + OPEN('handleMessage'), REGISTER),
    replace: ['{...}', `{ 'message_generate': handleMessage }`],
  },
  memo: inComponent(
    CONTEXT + OPEN('handleMessage'),
    REGISTER,
    'useEffect(() => registerHandlers(handlers), [registerHandlers, handlers])',
  ),
  'group-hooks': inComponent(
    `import { useWebSocketConversation, useWebSocketNotifications } from './features'\n`,
  ),
  jsx: {
    before: `${CONTEXT}export const Fragment = () => {\n${IS_CONNECTED}\nreturn <p>`,
    after: '</p>\n}\n',
  },
  'one-constant': { after: 'export { MESSAGE_GENERATE }' },
  conversation: { before: REACT + CONTEXT + OPEN('updateUI'), after: 'export { ChatPanel }' },
  notifications: {
    before: REACT + CONTEXT + OPEN('showNotification'),
    after: 'export { NotificationCenter }',
  },
  analytics: {
    before: REACT + CONTEXT + OPEN('updateCharts'),
    after: 'export { AnalyticsDashboard }',
  },
} satisfies Record<string, Frame>;

export type BlockName = keyof typeof FRAMES;

export const BLOCK_NAMES = Object.keys(FRAMES) as BlockName[];

/** The document's blocks as they stand there. */
export function readBlocks(): string[] {
  const text = readFileSync(DOCUMENT, 'utf8');
  return Array.from(text.matchAll(/^```typescript\n(.*?)^```$/gms), (match) => match[1] ?? '');
}

/** Writes one module per block; the block itself is in it to the letter. */
export function writeModules(): void {
  const blocks = readBlocks();
  rmSync(GENERATED, { recursive: true, force: true });
  mkdirSync(GENERATED, { recursive: true });
  BLOCK_NAMES.forEach((name, index) => {
    const { before = '', after = '', replace }: Frame = FRAMES[name];
    const block = replace ? blocks[index]?.replace(...replace) : blocks[index];
    writeFileSync(modulePath(name), `${before}${block ?? ''}${after}\n`);
  });
}

/** Loads the module of a block; its exports are what the document calls them. */
export async function loadModule(name: BlockName): Promise<Record<string, unknown>> {
  return (await import(/* @vite-ignore */ modulePath(name))) as Record<string, unknown>;
}

function modulePath(name: BlockName): string {
  return `${GENERATED}${name}.tsx`;
}
