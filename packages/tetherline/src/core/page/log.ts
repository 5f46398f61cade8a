/** Where to log; `console` is one. */
export type Logger = Pick<Console, 'log' | 'warn' | 'error'>;

// Bundlers replace exactly this expression by a text; without one there is no `process` at all.
declare const process: { env: { NODE_ENV?: string } };

export function isDevelopment(): boolean {
  try {
    return process.env.NODE_ENV !== 'production';
  } catch {
    return false;
  }
}
