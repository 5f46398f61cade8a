import { probeUrl } from './address.js';

export interface ProbeAnswer {
  /** 0: there was no answer. */
  status: number;
  /** -1: the server named no time. */
  retryAfterMs: number;
}

/** Asks a WebSocket's URL without an upgrade why it did not open: scripts cannot see it. */
export async function probe(
  fetch: typeof globalThis.fetch,
  webSocketUrl: string,
  token: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  try {
    const response = await fetch(probeUrl(webSocketUrl), {
      headers: { Authorization: `Bearer ${token}` },
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'manual',
      signal,
    });
    const retryAfterMs = readRetryAfter(response.headers.get('Retry-After'));
    response.body?.cancel().catch(() => undefined);
    return { status: response.status, retryAfterMs };
  } catch {
    return { status: 0, retryAfterMs: -1 };
  }
}

function readRetryAfter(header: string | null): number {
  if (header === null) {
    return -1;
  }
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) && ms >= 0 ? Math.ceil(ms) : -1;
}
