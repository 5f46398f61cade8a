'use client';

import {
  type ReactNode,
  useCallback,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import { createPortal } from 'react-dom';

import { useTetherlineClient } from '../react/index.js';
import { Panel } from './panel.js';
import { recorder } from './recorder.js';
import { STYLES } from './styles.js';

export interface WebSocketInspectorProps {
  /**
   * The key that opens and closes it, as `event.code` or `event.key` has it; it does nothing where
   * somebody types. Default: `Backquote`, the one left of the 1. `null`: no key.
   */
  toggleKey?: string | null;
  /** Whether a small button opens it too. Default: yes, since phones have no keys. */
  button?: boolean;
  initiallyOpen?: boolean;
}

/**
 * A panel that shows what the connection does, in development. Bundles for production get an
 * empty component in its place.
 */
export function WebSocketInspector(props: WebSocketInspectorProps): ReactNode {
  // A page hydrates as what its server has sent, where there was nothing to put a panel into.
  const isHydrated = useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
  return isHydrated && <Inspector {...props} />;
}

function never(): () => void {
  return () => undefined;
}

function Inspector({
  toggleKey = 'Backquote',
  button = true,
  initiallyOpen = false,
}: WebSocketInspectorProps): ReactNode {
  const client = useTetherlineClient();
  const [isOpen, setIsOpen] = useState(initiallyOpen);
  const root = useShadowRoot();
  const before = useRef<Element | null>(null);

  const toggle = useCallback(() => {
    setIsOpen((wasOpen) => {
      if (!wasOpen) {
        before.current = document.activeElement;
      }
      return !wasOpen;
    });
  }, []);
  const close = useCallback(() => {
    setIsOpen(false);
    (before.current as HTMLElement | null)?.focus();
  }, []);
  useToggleKey(toggleKey, toggle);

  return createPortal(
    <aside aria-label="WebSocket inspector">
      {isOpen ? (
        <Panel record={recorder.of(client)} onClose={close} />
      ) : (
        button && (
          <button type="button" className="launcher" onClick={toggle}>
            <span className="launcher__dot" aria-hidden="true" />
            WebSocket
          </button>
        )
      )}
    </aside>,
    root,
  );
}

function useToggleKey(toggleKey: string | null, toggle: () => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const isIt = event.code === toggleKey || event.key === toggleKey;
      const isModified = event.ctrlKey || event.altKey || event.metaKey;
      if (isIt && !isModified && !event.repeat && !event.defaultPrevented && !isTyping(event)) {
        event.preventDefault();
        toggle();
      }
    };
    document.addEventListener('keydown', pressed);
    return () => document.removeEventListener('keydown', pressed);
  }, [toggleKey, toggle]);
}

function isTyping(event: KeyboardEvent): boolean {
  const [target] = event.composedPath();
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches('input, textarea, select'))
  );
}

/** Where the page's styles do not reach, and from where ours do not reach the page. */
function useShadowRoot(): ShadowRoot {
  const [root] = useState(createShadowRoot);
  useEffect(() => {
    document.body.append(root.host);
    return () => root.host.remove();
  }, [root]);
  return root;
}

function createShadowRoot(): ShadowRoot {
  const host = document.createElement('div');
  host.dataset.tetherlineInspector = '';
  // Where the page does not say whether it is light or dark, the person's own settings do.
  if (getComputedStyle(document.documentElement).colorScheme === 'normal') {
    host.style.colorScheme = 'light dark';
  }
  const root = host.attachShadow({ mode: 'open' });
  adopt(root);
  return root;
}

function adopt(root: ShadowRoot): void {
  if ('adoptedStyleSheets' in root) {
    // Not an element: a Content-Security-Policy may refuse those.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    root.adoptedStyleSheets = [sheet];
  } else {
    // jsdom has no others.
    const style = document.createElement('style');
    style.textContent = STYLES;
    (root as ShadowRoot).append(style);
  }
}
