'use client';

export { WebSocketInspector, type WebSocketInspectorProps } from './inspector.js';
