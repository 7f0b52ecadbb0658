import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { z } from 'zod';
import type { ApiKey } from './api-key.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

export interface ApiClientOptions {
  readonly url: URL;
  /** Sent with each request; without it only what is public is answered. */
  readonly key?: ApiKey | undefined;
  /** Connections at most; they are kept alive. Default 4. */
  readonly connections?: number;
  /**
   * How long to go on trying while the API gives no usable answer to anybody, in milliseconds. Default 10 s. One
   * answered request starts the time anew, so that an API that sheds load is not taken for one that is away.
   */
  readonly patienceMs?: number;
  /** Fires when the command shall end: waiting stops at once, a request that changes something may still finish. */
  readonly signal: AbortSignal;
  /** First and longest wait between two tries, in milliseconds; `Retry-After` may ask for longer. */
  readonly backoffMs?: { readonly first: number; readonly most: number };
  readonly requestTimeoutMs?: number;
  /** Told of each failed try that will be repeated. */
  readonly onRetry?: (why: string) => void;
}

/** The API refused for good; `detail` is what it says to do. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly status: number;
  /** The problem's stable code, or `http_<status>` where the answer was no problem document. */
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** The API wants a key, or another one than it got; nothing else that is asked with it will be answered either. */
export class ApiDenied extends Error {
  override readonly name = 'ApiDenied';
}

/** The API could not be reached, or kept asking to come back later, for longer than anybody wanted to wait. */
export class ApiUnavailable extends Error {
  override readonly name = 'ApiUnavailable';
}

/** The command was asked to stop before the request was sent, or while it waited for its next try. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

export interface ApiClient {
  /** `path` begins with a slash. All of these throw `ApiRefusal`, `ApiDenied`, `ApiUnavailable` and `Interrupted`. */
  get(path: string): Promise<ApiAnswer>;
  put(path: string, body: unknown): Promise<ApiAnswer>;
  patch(path: string, body: unknown): Promise<ApiAnswer>;
  /** What is gone is refused as `not_found`, also by a repetition whose first answer was lost. */
  delete(path: string): Promise<ApiAnswer>;
  /** Repeated on trouble like the others: `key` makes that safe where it would be done twice. */
  post(path: string, body: unknown, key?: string): Promise<ApiAnswer>;
  close(): Promise<void>;
}

interface Request {
  readonly method: 'GET' | 'PUT' | 'PATCH' | 'DELETE' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly key?: string | undefined;
}

type Try = { readonly answer: ApiAnswer } | { readonly later: string; readonly retryAfterMs: number };

/** A client of our own HTTP API. Only requests that are safe to repeat can be made with it. */
export function createApiClient(options: ApiClientOptions): ApiClient {
  const { url, signal, patienceMs = 10_000, requestTimeoutMs = 30_000 } = options;
  const { first, most } = options.backoffMs ?? { first: 100, most: 5_000 };
  const prefix = url.pathname.replace(/\/+$/, '');
  const pool = new Pool(url.origin, {
    connections: options.connections ?? 4,
    pipelining: 1,
    connect: { timeout: 5_000 },
    headersTimeout: requestTimeoutMs,
    bodyTimeout: requestTimeoutMs,
  });
  let lastAnswerAt = 0;

  async function once(request: Request): Promise<Try> {
    try {
      const { statusCode, headers, body } = await pool.request({
        method: request.method,
        path: prefix + request.path,
        headers: {
          accept: 'application/json',
          ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key.text}` }),
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(request.key === undefined ? {} : { 'idempotency-key': request.key }),
        },
        body: request.body === undefined ? null : JSON.stringify(request.body),
        // What only looks can be dropped at once; of what changes something, the answer is worth having.
        signal: request.method === 'GET' ? signal : null,
      });
      const answer = { status: statusCode, headers, body: jsonOrText(await body.text()) };
      if (!comesAgain(answer)) return { answer };
      return { later: `${statusCode} ${refusal(answer).message}`, retryAfterMs: retryAfterMs(headers['retry-after']) };
    } catch (error) {
      if (signal.aborted) throw new Interrupted('stopped', { cause: error });
      return { later: transportProblem(error), retryAfterMs: 0 };
    }
  }

  async function send(request: Request): Promise<ApiAnswer> {
    const begunAt = Date.now();
    for (let attempt = 0; ; attempt += 1) {
      if (signal.aborted) throw new Interrupted('stopped before it was sent');
      const result = await once(request);
      if ('answer' in result) {
        lastAnswerAt = Date.now();
        if (result.answer.status >= 200 && result.answer.status < 300) return result.answer;
        const refused = refusal(result.answer);
        throw refused.status === 401 ? denied(refused, options.key) : refused;
      }
      const ceiling = Math.min(most, first * 2 ** Math.min(attempt, 20));
      const waitMs = Math.max(result.retryAfterMs, ceiling * (0.5 + Math.random() / 2));
      if (Date.now() + waitMs - Math.max(begunAt, lastAnswerAt) > patienceMs) {
        const hint = 'Is it running? Start it with `npm start`, or say where it is with --url.';
        throw new ApiUnavailable(`no answer from the API at ${url.href}: ${result.later}. ${hint}`);
      }
      options.onRetry?.(result.later);
      await sleep(waitMs, undefined, { signal }).catch(() => {
        throw new Interrupted('stopped while waiting for the next try');
      });
    }
  }

  return {
    get: (path) => send({ method: 'GET', path }),
    put: (path, body) => send({ method: 'PUT', path, body }),
    patch: (path, body) => send({ method: 'PATCH', path, body }),
    delete: (path) => send({ method: 'DELETE', path }),
    post: (path, body, key) => send({ method: 'POST', path, body, key }),
    close: () => pool.close(),
  };
}

const problem = z.object({ code: z.string(), detail: z.string() });

function refusal({ status, headers, body }: ApiAnswer): ApiRefusal {
  const parsed = problem.safeParse(body);
  if (parsed.success) return new ApiRefusal(status, parsed.data.code, parsed.data.detail);
  if (status >= 300 && status < 400) {
    return new ApiRefusal(status, `http_${status}`, `the API is elsewhere: --url ${String(headers['location'])}`);
  }
  const said = typeof body === 'string' ? body.slice(0, 200) : JSON.stringify(body).slice(0, 200);
  return new ApiRefusal(status, `http_${status}`, `not an answer of Evenkeel's API: ${JSON.stringify(said)}`);
}

function denied({ message }: ApiRefusal, key: ApiKey | undefined): ApiDenied {
  if (key !== undefined) return new ApiDenied(`the API refuses the key from ${key.from}: ${message}`);
  return new ApiDenied(
    "the API wants a key: set EVENKEEL_API_KEY, or EVENKEEL_API_KEY_FILE to a file that holds one. 'evenkeel keys " +
      "create' makes one; that of 'evenkeel start' is found where EVENKEEL_DATA_DIR is the same.",
  );
}

/** Busy, away, or still at work on the same key: the same request will do later. All other refusals are final. */
function comesAgain(answer: ApiAnswer): boolean {
  if ([429, 502, 503, 504].includes(answer.status)) return true;
  return answer.status === 409 && refusal(answer).code === 'idempotency_in_progress';
}

/** Seconds or a date (RFC 9110, 10.2.3), as milliseconds from now; 0 for what is neither. */
function retryAfterMs(value: string | string[] | undefined): number {
  const text = Array.isArray(value) ? value[0] : value;
  if (text === undefined) return 0;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function transportProblem(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection comes as an AggregateError without words when a name has several addresses.
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return error.message || code || error.name;
}
