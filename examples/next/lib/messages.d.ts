import 'tetherline';

declare module 'tetherline' {
  interface MessageMap {
    /** Somebody has written a note: to whoever gets this, or from them. */
    note_new: { id: string; from: string; to: string; text: string };
  }

  interface SentMessageMap {
    note: { to: string; text: string };
  }
}
