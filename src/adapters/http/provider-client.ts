import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import { z } from 'zod';
import { DomainFailure } from '../../domain/failures.ts';
import type { Attempt } from '../../domain/step-ports.ts';
import { unless } from '../../domain/unless.ts';
import { retryAfterMs } from './retry-after.ts';

const LARGEST_ANSWER_BYTES = 64 * 1024;
/**
 * How long we wait for the answer, in whole milliseconds and at least 1: a provider that knows it can give up what
 * nobody waits for any more.
 */
const TIME_LEFT = 'x-request-timeout-ms';
/** Time-outs of undici itself, behind the attempt's own signal: none is to wait for ever. */
const LAST_RESORT_MS = 60_000;

/** Clients' errors that mean "not now": 409 is what an attempt sees whose key an aborted one is still using. */
const notNow: ReadonlySet<number> = new Set([408, 409, 425]);

const problemSchema = z.object({ code: z.string().regex(/^[a-z0-9_.-]{1,60}$/) });

export interface ProviderOptions {
  /** The trace context of whoever calls now, sent along. */
  readonly traceparent?: () => string | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Undefined where there was more than an answer may have. */
  readonly text: string | undefined;
}

export interface ProviderCall<T> {
  readonly method: 'GET' | 'POST';
  /** From the base URL on, its variable parts URL-encoded. */
  readonly path: string;
  /** Sent as `Idempotency-Key`. */
  readonly key?: string;
  readonly body?: unknown;
  /** What a 2xx answer must be. */
  readonly answer: z.ZodType<T>;
  /** What must not appear in any failure, wherever the provider might echo it. */
  readonly secret?: string;
}

/**
 * A provider behind HTTP: one try per call over pooled keep-alive connections. It throws `DomainFailure` only:
 * - `provider_timeout`: the attempt's signal fired, or nothing came for a minute; the effect may have happened, but not
 *   if no time was left to begin with: then nothing is sent
 * - `provider_unavailable`: no connection (then with `nothingSent`), a connection or a body that broke off, a 5xx, or
 *   one of 408, 409 and 425 (then with `isWell`)
 * - `provider_rate_limited`: 429
 * - `provider_rejected`: any other status, or a 2xx that is not what the provider's contract says
 *
 * `Retry-After` is passed on where a retry may help. Failures name what came by status, code and size; the provider's
 * own words stay out of them, because they may quote what is secret or personal.
 */
export class ProviderClient {
  readonly #name: string;
  readonly #pool: Pool;
  readonly #prefix: string;
  readonly #traceparent: () => string | undefined;
  readonly #underWay = new Set<Promise<unknown>>();

  /** `name` is what failures call it. No limit on connections: how many calls run at a time is for the caller. */
  constructor(name: string, baseUrl: string, { traceparent = () => undefined }: ProviderOptions = {}) {
    const url = new URL(baseUrl);
    this.#name = name;
    this.#traceparent = traceparent;
    this.#prefix = url.pathname.replace(/\/+$/, '');
    this.#pool = new Pool(url.origin, { headersTimeout: LAST_RESORT_MS, bodyTimeout: LAST_RESORT_MS });
  }

  /** Lets calls in flight end, then closes the connections. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    // Not close(): what was given up before it had a connection would keep that waiting for one.
    await this.#pool.destroy();
  }

  async call<T>(call: ProviderCall<T>, attempt: Attempt): Promise<T> {
    const answer = await this.#send(call, attempt);
    if (answer.status < 200 || answer.status > 299) throw this.#refusal(call, answer);
    return this.#parse(call, answer);
  }

  /** As `call`, but undefined where the provider says that it knows nothing of it: a 404 with the code `unknown_key`. */
  async lookup<T>(call: ProviderCall<T>, attempt: Attempt): Promise<T | undefined> {
    const answer = await this.#send(call, attempt);
    // Another 404 may come from a proxy or a wrong base URL, and proves nothing about the key.
    if (answer.status === 404 && codeOf(answer) === 'unknown_key') return undefined;
    if (answer.status < 200 || answer.status > 299) throw this.#refusal(call, answer);
    return this.#parse(call, answer);
  }

  async #send(call: ProviderCall<unknown>, attempt: Attempt): Promise<Answer> {
    const { method, path } = call;
    const { signal, deadline = Infinity } = attempt;
    const leftMs = deadline - performance.now();
    if (signal.aborted || leftMs <= 0) {
      throw new DomainFailure(
        'provider_timeout',
        `${this.#name}: no time was left for ${method} ${path}; it was not sent`,
      );
    }
    const exchange = this.#exchange(call, signal, leftMs);
    this.#underWay.add(exchange);
    try {
      // undici heeds the signal only once there is a connection, for which a host that does not answer keeps it waiting
      // for ten seconds. What was given up before is not sent when there is one after all.
      return await unless(signal, exchange);
    } catch (error) {
      throw this.#broken(`${method} ${path}`, error, signal);
    } finally {
      this.#underWay.delete(exchange);
    }
  }

  async #exchange(
    { method, path, key, body }: ProviderCall<unknown>,
    signal: AbortSignal,
    leftMs: number,
  ): Promise<Answer> {
    const traceparent = this.#traceparent();
    const response = await this.#pool.request({
      method,
      path: `${this.#prefix}${path}`,
      headers: {
        accept: 'application/json',
        ...(leftMs === Infinity ? {} : { [TIME_LEFT]: String(Math.max(1, Math.floor(leftMs))) }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...(traceparent === undefined ? {} : { traceparent }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    const { statusCode: status, headers } = response;
    return { status, headers, text: await readText(response.body) };
  }

  #broken(call: string, error: unknown, signal: AbortSignal): DomainFailure {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const timedOut = signal.aborted || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT';
    if (timedOut) {
      return new DomainFailure('provider_timeout', `${this.#name}: no answer to ${call} in time`, { cause: error });
    }
    const message = `${this.#name}: ${call} broke off (${code})`;
    return new DomainFailure('provider_unavailable', message, { cause: error, nothingSent: isOfConnecting(error) });
  }

  #refusal({ method, path, secret }: ProviderCall<unknown>, answer: Answer): DomainFailure {
    const { status, headers } = answer;
    const code = codeOf(answer);
    const why = code === undefined || (secret !== undefined && code.includes(secret)) ? sizeOf(answer) : code;
    const message = `${this.#name}: ${method} ${path} was answered ${status} (${why})`;
    const waitMs = retryAfterMs(headers['retry-after'], Date.now());
    const wait = waitMs === undefined ? {} : { retryAfterMs: waitMs };
    if (status === 429) return new DomainFailure('provider_rate_limited', message, wait);
    if (status >= 500) return new DomainFailure('provider_unavailable', message, wait);
    if (notNow.has(status)) return new DomainFailure('provider_unavailable', message, { ...wait, isWell: true });
    return new DomainFailure('provider_rejected', message);
  }

  #parse<T>({ method, path, answer: schema }: ProviderCall<T>, answer: Answer): T {
    const parsed = schema.safeParse(json(answer.text));
    if (parsed.success) return parsed.data;
    const places = parsed.error.issues.map((issue) => `/${issue.path.join('/')}`).join(', ');
    throw new DomainFailure(
      'provider_rejected',
      `${this.#name}: ${method} ${path} was answered ${answer.status} with what its contract does not know, ` +
        `at ${places} (${sizeOf(answer)})`,
    );
  }
}

/**
 * Whether no connection came to be, so that nothing was sent over one. Told by the system's call and not by the code:
 * one that broke may end in `EHOSTUNREACH`, too, and then the request may have arrived.
 */
function isOfConnecting(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isOfConnecting);
  if (!(error instanceof Error)) return false;
  if ('code' in error && error.code === 'UND_ERR_CONNECT_TIMEOUT') return true;
  return 'syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo');
}

/** Reads a body; undefined if it is too large. Throws if it breaks off. */
async function readText(body: Dispatcher.ResponseData['body']): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Leaving the loop destroys the body and its connection.
    if (bytes > LARGEST_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function json(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

function codeOf({ text }: Answer): string | undefined {
  return problemSchema.safeParse(json(text)).data?.code;
}

function sizeOf({ headers, text }: Answer): string {
  const type = (headers['content-type'] ?? '')
    .split(';')[0]
    ?.replaceAll(/[^\w/+.-]/g, '')
    .slice(0, 60);
  const size = text === undefined ? `more than ${LARGEST_ANSWER_BYTES} bytes` : `${Buffer.byteLength(text)} bytes`;
  return `${type === undefined || type === '' ? 'no content type' : type}, ${size}`;
}
