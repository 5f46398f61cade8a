import type { KeyboardEvent } from 'react';

/** What browsers call a key that an input method takes for itself. */
const PROCESSED_KEY_CODE = 229;

/**
 * Whether the key belongs to an input method. Safari ends the composition before it tells of the
 * Enter that confirmed it, and then only the key's code gives that away.
 */
export function isComposing(event: KeyboardEvent): boolean {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- nothing else says it in Safari
  return event.nativeEvent.isComposing || event.keyCode === PROCESSED_KEY_CODE;
}
