import { probeUrl } from './address.js';
import type { Session } from './session.js';

export interface ProbeAnswer {
  /** 0: there was no answer. */
  status: number;
  /** -1: the server named no time. */
  retryAfterMs: number;
}

/** Asks a WebSocket's URL without an upgrade why it did not open: scripts cannot see it. */
export function probe(
  session: Session,
  fetch: typeof globalThis.fetch | undefined,
  answered: (answer: ProbeAnswer) => void,
): void {
  const probing = new AbortController();
  session.probing = probing;
  void ask(session, fetch, probing.signal).then((answer) => {
    if (!probing.signal.aborted) {
      answered(answer);
    }
  });
}

async function ask(
  { url, token }: Session,
  fetch: typeof globalThis.fetch | undefined,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  try {
    // Looked up in here: where there is no `fetch`, that is an answer that did not come.
    const response = await (fetch ?? globalThis.fetch)(probeUrl(url), {
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
