'use client';

import {
  type Component,
  type ComponentType,
  createElement,
  forwardRef,
  type FunctionComponent,
  type ReactNode,
  type RefAttributes,
} from 'react';

import { useWhole, type WebSocketProps } from './context.js';

interface Injected<Own extends object = object, Sent extends object = object> {
  websocket: WebSocketProps<Own, Sent>;
}

/** The props that are left to give: without ours, and those with a default may be left out. */
type WithoutInjected<P, Defaults = object> = P extends unknown
  ? Omit<P, 'websocket' | keyof Defaults> &
      Partial<Pick<P, Exclude<keyof Defaults & keyof P, 'websocket'>>>
  : never;

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

type Rendered = ReturnType<FunctionComponent>;

/** {@link withWebSocket}, for message types of one's own. */
// Signatures and nothing else: only so TypeScript carries a component's type parameters over.
export interface WithWebSocket<Own extends object, Sent extends object = object> {
  <P extends Injected<Own, Sent>, I extends Component<P>, D extends object>(
    Wrapped: (new (props: P) => I) & { defaultProps: D },
  ): (props: WithoutInjected<P, D> & RefAttributes<I>) => ReactNode;
  <P extends Injected<Own, Sent>, I extends Component<P>>(
    Wrapped: new (props: P) => I,
  ): (props: WithoutInjected<P> & RefAttributes<I>) => ReactNode;
  <P extends Injected<Own, Sent>, D extends object>(
    Wrapped: ((props: P) => Rendered) & { defaultProps: D },
  ): (props: WithoutInjected<P, D>) => ReactNode;
  <P extends Injected<Own, Sent>>(
    Wrapped: (props: P) => Rendered,
  ): (props: WithoutInjected<P>) => ReactNode;
}

/**
 * Passes the connection to a component as its prop `websocket`. Refs reach the component: a class,
 * one made by `forwardRef`, and from React 19 on any function that has a prop `ref`.
 */
export const withWebSocket: WithWebSocket<object> = (Wrapped: ComponentType<Injected>) => {
  const name = nameOf(Wrapped);
  const WithWebSocket = forwardRef<never, object>((props, ref) => {
    const websocket = useWhole(`withWebSocket(${name})`);
    return createElement(Wrapped, { ...props, websocket, ...(ref === null ? null : { ref }) });
  });
  WithWebSocket.displayName = `withWebSocket(${name})`;
  hoistStatics(WithWebSocket, Wrapped);
  return WithWebSocket;
};

/** What `memo` and `forwardRef` make is an object around the component. */
interface Wrapper {
  readonly displayName?: string;
  readonly name?: string;
  readonly type?: Wrapper;
  readonly render?: Wrapper;
}

function nameOf(component: Wrapper): string {
  const inner = component.type ?? component.render;
  return component.displayName ?? component.name ?? (inner ? nameOf(inner) : 'Component');
}

function hoistStatics(target: object, source: object): void {
  for (const key of Reflect.ownKeys(source)) {
    const descriptor = Object.getOwnPropertyDescriptor(source, key);
    if (descriptor && !(typeof key === 'string' && REACT_STATICS.has(key))) {
      Object.defineProperty(target, key, { ...descriptor, configurable: true });
    }
  }
}
