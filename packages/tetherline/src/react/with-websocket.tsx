'use client';

import {
  type ComponentClass,
  type ComponentType,
  createElement,
  forwardRef,
  type ForwardRefExoticComponent,
  type FunctionComponent,
  type PropsWithoutRef,
  type RefAttributes,
  useContext,
} from 'react';

import { provided, WebSocketContext, type WebSocketProps } from './context.js';

interface Injected {
  websocket: WebSocketProps;
}

type WithoutInjected<P> = P extends unknown ? Omit<P, 'websocket'> : never;

// What React itself reads of a component; everything else is the component's own and is hoisted.
const REACT_STATICS = new Set([
  '$$typeof',
  'arguments',
  'caller',
  'childContextTypes',
  'compare',
  'contextType',
  'contextTypes',
  'defaultProps',
  'displayName',
  'getDerivedStateFromError',
  'getDerivedStateFromProps',
  'length',
  'name',
  'propTypes',
  'prototype',
  'render',
  'type',
]);

/** Passes the connection to a component as its prop `websocket`. Refs reach the component. */
export function withWebSocket<P extends Injected, I>(
  Wrapped: ComponentClass<P> & (new (props: P) => I),
): ForwardRefExoticComponent<PropsWithoutRef<WithoutInjected<P>> & RefAttributes<I>>;
export function withWebSocket<P extends Injected>(
  Wrapped: FunctionComponent<P>,
): FunctionComponent<WithoutInjected<P>>;
export function withWebSocket(Wrapped: ComponentType<Injected>): object {
  const name = Wrapped.displayName ?? (Wrapped.name || 'Component');
  const WithWebSocket = forwardRef<unknown, object>((props, ref) => {
    const websocket = provided(useContext(WebSocketContext), `withWebSocket(${name})`);
    return createElement(Wrapped, { ...props, websocket, ...(ref === null ? null : { ref }) });
  });
  WithWebSocket.displayName = `withWebSocket(${name})`;
  hoistStatics(WithWebSocket, Wrapped);
  return WithWebSocket;
}

function hoistStatics(target: object, source: object): void {
  for (const key of Reflect.ownKeys(source)) {
    const descriptor = Object.getOwnPropertyDescriptor(source, key);
    if (descriptor && !(typeof key === 'string' && REACT_STATICS.has(key))) {
      Object.defineProperty(target, key, { ...descriptor, configurable: true });
    }
  }
}
