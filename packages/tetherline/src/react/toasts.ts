import type { ClientOptions } from '../index.js';

/** What to show for a moment. */
export interface Toast {
  kind: 'error' | 'info';
  /** One sentence for a person. */
  text: string;
  /** The same for the same thing: a second one takes the place of the first. */
  id: string;
}

/** The sentences that are not the server's own. */
export interface ToastTexts {
  identityRefused: string;
  signedOutElsewhere: string;
  gap: string;
}

/** What `toToasts` answers, to be spread into `WebSocketInitializer` or the options of a client. */
export type ToastCallbacks = Required<
  Pick<ClientOptions, 'onServerError' | 'onIdentityRefused' | 'onSignedOutElsewhere' | 'onGap'>
>;

const ENGLISH: ToastTexts = {
  identityRefused: 'You have been signed out. Sign in again to go on.',
  signedOutElsewhere: 'You signed out in another tab.',
  gap: 'Older messages are no longer kept. Reload to see what is.',
};

/**
 * Shows what people should hear of, by any function that shows toasts:
 * `toToasts(({ kind, text, id }) => toast[kind](text, { id }))`.
 */
export function toToasts(
  show: (toast: Toast) => unknown,
  texts: Partial<ToastTexts> = {},
): ToastCallbacks {
  const { identityRefused, signedOutElsewhere, gap } = { ...ENGLISH, ...texts };
  const tell = (kind: Toast['kind'], id: string, text: string) =>
    void show({ kind, id: `tetherline-${id}`, text });
  return {
    onServerError: (error) => tell('error', error.code, error.message),
    // As long as fresh tokens are tried, `<ConnectionStatus />` says so.
    onIdentityRefused: (_user, { isFinal }) => {
      if (isFinal) {
        tell('error', 'identity', identityRefused);
      }
    },
    onSignedOutElsewhere: () => tell('info', 'identity', signedOutElsewhere),
    onGap: () => tell('info', 'gap', gap),
  };
}
