import type { ConnectionStatus } from '../index.js';

export const STATUS_WORDS: Record<ConnectionStatus, string> = {
  signed_out: 'Signed out',
  connecting: 'Connecting',
  connected: 'Connected',
  waiting: 'Waiting to reconnect',
  refused: 'Refused',
  failed: 'Failed',
};

export function clock(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

export function duration(ms: number): string {
  if (ms < 10) {
    return `${ms.toFixed(1)} ms`;
  }
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1_000)} s`;
}

export function size(units: number): string {
  return units < 1_024 ? `${units} B` : `${(units / 1_024).toFixed(1)} KiB`;
}
