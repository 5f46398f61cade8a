/** The server said no. `message` is written for people; `field` names the input it is about. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

/**
 * Whether the chat itself does not take the sign-in, or the token. A 401 alone may be anybody's: a
 * proxy's, or a login page's in front.
 */
export function isUnauthorized(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    error.status === 401 &&
    (error.code === 'signed_out' || error.code === 'unauthorized')
  );
}

/** Whether the chat itself says that there is no such thing: a 404 alone may be anybody's, too. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404 && error.code === 'not_found';
}

/** There was no answer at all. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';

  constructor(options?: ErrorOptions) {
    super('The server cannot be reached. Check your connection, then try again.', options);
  }
}

interface Request {
  method?: 'GET' | 'POST';
  body?: unknown;
  token?: string;
  signal?: AbortSignal;
}

/** One request to the chat's HTTP API; `undefined` stands for "204 No Content". */
export async function request(path: string, options: Request = {}): Promise<unknown> {
  const response = await reach(path, options);
  const body = await readJson(response);
  if (response.ok && (body !== undefined || response.status === 204)) {
    return body;
  }
  throw refusal(response.status, body);
}

/** A network that swallows everything would keep a request waiting for minutes. */
const ANSWER_TIMEOUT_MS = 20_000;

async function reach(path: string, { method = 'GET', body, token, signal }: Request) {
  const headers = new Headers({ accept: 'application/json' });
  if (body !== undefined) {
    headers.set('content-type', 'application/json');
  }
  if (token !== undefined) {
    // Not `Authorization`: the browser fills that in for a proxy that wants a password.
    headers.set('tetherline-token', token);
  }
  const timeout = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: 'same-origin',
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
  } catch (cause) {
    if (signal?.aborted === true) {
      throw cause;
    }
    throw new UnreachableError({ cause });
  }
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text().catch((cause: unknown) => {
    throw new UnreachableError({ cause });
  });
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

function refusal(status: number, body: unknown): ApiError | UnreachableError {
  const error = (body as { error?: Partial<ApiError> } | undefined)?.error;
  if (typeof error?.code === 'string' && typeof error.message === 'string') {
    return new ApiError(status, error.code, error.message, error.field);
  }
  // A proxy in between answers for a server that is away.
  if (status === 502 || status === 503 || status === 504) {
    return new UnreachableError();
  }
  return new ApiError(
    status,
    'unexpected',
    `The server could not do this (status ${String(status)}). Try again in a moment.`,
  );
}
