import {
  ERROR_CODES,
  type ErrorCode,
  NO_TOKEN,
  PROBE_ANSWER_BYTES_MAX,
  TOKEN_HEADER,
} from '../../generated/protocol.js';
import type { Reporter } from '../page/report.js';
import type { Session } from '../session.js';
import { probeUrl } from './address.js';

export interface ProbeAnswer {
  /** 0: there was no answer. */
  status: number;
  /** A position in `ERROR_CODES`; -1: the body is not one of Tetherline's, whatever the status says. */
  code: number;
  /** -1: nobody named a time. */
  retryAfterMs: number;
}

/** Asks a WebSocket's URL without an upgrade why it did not open: scripts cannot see it. */
export function probe(
  session: Session,
  fetch: typeof globalThis.fetch | undefined,
  report: Reporter,
  answered: (answer: ProbeAnswer) => void,
): void {
  const probing = new AbortController();
  session.probing = probing;
  void ask(session, fetch, probing.signal).then((answer) => {
    if (!probing.signal.aborted) {
      const { status, code } = answer;
      report.debug(`Asked why, it says ${status}`, ERROR_CODES[code] ?? 'but is not Tetherline');
      if (status === 404 && code < 0 && !session.isMisplaced) {
        session.isMisplaced = true;
        report.problem(
          `${probeUrl(session.url)} answers 404: no Tetherline is there. Correct \`url\`.`,
        );
      }
      answered(answer);
    }
  });
}

type Words = Partial<Record<'code' | 'field' | 'reason', unknown>>;

async function ask(
  { url, token }: Session,
  fetch: typeof globalThis.fetch | undefined,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const request = async (headers: Record<string, string>) => {
    // Looked up in here: where there is no `fetch`, that is an answer that did not come.
    const response = await (fetch ?? globalThis.fetch)(probeUrl(url), {
      headers,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'manual',
      signal,
    });
    const { code, field, reason } = readWords(await readBody(response));
    const retryAfterMs = readRetryAfter(response.headers.get('Retry-After'));
    return {
      answer: {
        status: response.status,
        // Whoever misses a token that we gave says nothing of it: something in between took it.
        code: reason === NO_TOKEN ? -1 : ERROR_CODES.indexOf(code as ErrorCode),
        retryAfterMs,
      },
      isMissed: code === 'unauthorized' && field !== TOKEN_HEADER,
    };
  };
  try {
    if (isOfThisOrigin(probeUrl(url))) {
      // The browser fills in `Authorization` for a proxy that wants a password; ours in its place
      // would have the proxy refuse everything.
      const { answer, isMissed } = await request({ [TOKEN_HEADER]: token });
      // A server of an older version does not look there, and misses a token.
      if (!isMissed) {
        return answer;
      }
    }
    return (await request({ Authorization: `Bearer ${token}` })).answer;
  } catch {
    return { status: 0, code: -1, retryAfterMs: -1 };
  }
}

function isOfThisOrigin(url: string): boolean {
  const page = (globalThis as { location?: { origin: string } }).location;
  return page?.origin === new URL(url).origin;
}

/** Empty if it is longer than any of Tetherline's: a login page is nothing to wait for. */
async function readBody(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) {
    return await response.text();
  }
  const decoder = new TextDecoder();
  let text = '';
  for (let bytes = 0; bytes <= PROBE_ANSWER_BYTES_MAX;) {
    const { done, value } = await reader.read();
    if (done) {
      return text;
    }
    bytes += value.byteLength;
    text += decoder.decode(value, { stream: true });
  }
  reader.cancel().catch(() => undefined);
  return '';
}

function readWords(body: string): Words {
  try {
    return (JSON.parse(body) as { error?: Words } | null)?.error ?? {};
  } catch {
    return {};
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
