'use client';

import type { ReactNode } from 'react';

import type { WebSocketInspectorProps } from './inspector.js';

export type { WebSocketInspectorProps } from './inspector.js';

/** What production gets of the inspector: nothing. */
export function WebSocketInspector(_props: WebSocketInspectorProps): ReactNode {
  return null;
}
