import { ID_BYTES_MAX, USER_ID_BYTES_MAX } from '../generated/protocol.js';
import { uuidv7 } from './uuid.js';

const inMemory = new Map<string, string>();

/** A user's id, as identity providers name people: compared as it is, never normalised. */
export function isUserId(text: string): boolean {
  return (
    /^(?!\.\.?$)[^\p{Cc}\p{Cs}/\\]+$/u.test(text) &&
    // Its length in bytes, also where there is no `TextEncoder`, as in jsdom under Jest.
    encodeURIComponent(text).replace(/%../g, '%').length <= USER_ID_BYTES_MAX
  );
}

/** Device and message ids: 1–128 characters that no URL escapes. */
export function isId(text: string): boolean {
  return text.length <= ID_BYTES_MAX && /^[\w.~-]+$/.test(text);
}

/** This browser profile's name for the user's cursor: all that is stored, unless an `outbox` is used. */
export function deviceOf(user: string): string {
  const key = `tetherline:device:${encodeURIComponent(user)}`;
  try {
    const known = localStorage.getItem(key);
    if (known !== null && isId(known)) {
      return known;
    }
    const fresh = inMemory.get(key) ?? uuidv7();
    inMemory.set(key, fresh);
    localStorage.setItem(key, fresh);
    // Another tab may have written meanwhile; whoever was last is right for everybody.
    return localStorage.getItem(key) ?? fresh;
  } catch {
    // No storage (private mode, blocked, not a browser): the device lives as long as the page.
    const known = inMemory.get(key) ?? uuidv7();
    inMemory.set(key, known);
    return known;
  }
}
