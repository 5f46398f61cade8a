/** Longest question, in UTF-16 code units: as UTF-8 it stays under the server's 32 KiB. */
export const QUESTION_LENGTH_MAX = 8_000;
/** From this length on the composer counts along. */
export const QUESTION_LENGTH_COUNTED = 7_000;
/** Shortest password that the server takes, in characters. */
export const PASSWORD_LENGTH_MIN = 8;
/** A token this close to its end is fetched anew, in ms. */
export const TOKEN_MARGIN_MS = 15_000;
