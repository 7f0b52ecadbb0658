import { DomainFailure, type FailureCode, httpStatus, isRetryable } from '../domain/failures.ts';

/** What can be wrong with a request before the domain sees it, and with us. */
const own = {
  malformed_path: { status: 400, title: 'The path cannot be decoded' },
  invalid_query: { status: 400, title: 'A query parameter cannot be used' },
  invalid_header: { status: 400, title: 'A header cannot be used' },
  malformed_json: { status: 400, title: 'The body is not JSON' },
  signature_invalid: { status: 401, title: 'The signature does not prove who sent this' },
  method_not_allowed: { status: 405, title: 'The resource does not know this method' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body is in a form that is not read here' },
  rate_limited: { status: 429, title: 'This caller asks too often' },
  internal_error: { status: 500, title: 'Something went wrong on our side' },
  callbacks_not_configured: { status: 503, title: 'Callbacks cannot be verified' },
  not_ready: { status: 503, title: 'Not ready' },
  overloaded: { status: 503, title: 'More orders than can be processed in time' },
} as const satisfies Record<string, { status: number; title: string }>;

const domainTitles: Readonly<Record<FailureCode, string>> = {
  provider_unavailable: 'A provider is unavailable',
  provider_timeout: 'A provider did not answer in time',
  provider_rate_limited: 'A provider limits our rate',
  breaker_open: 'A provider is unavailable and is not asked for now',
  bulkhead_full: 'A provider has as many requests as it may',
  store_unavailable: 'The store is unavailable',
  workflow_unavailable: 'The workflow service is unavailable',
  identity_unavailable: 'The issuer of identities is unavailable',
  unauthenticated: 'Who asks is not proved',
  forbidden: 'Who asks may not do this',
  provider_rejected: 'A provider refused the request',
  undo_refused: 'A provider refused to undo',
  step_undone: 'The step was undone before',
  illegal_transition: 'The order is past this',
  not_found: 'There is no such resource',
  invalid_input: 'The request cannot be fulfilled as it is',
  conflict: 'The request is at odds with the present state',
  not_cancellable: 'The order cannot be cancelled any more',
  attention_stale: 'This has been decided already',
  decision_not_allowed: 'This decision is not allowed here',
  idempotency_key_missing: 'The header Idempotency-Key is missing',
  idempotency_key_reused: 'The idempotency key was used for another request',
  idempotency_in_progress: 'A request with this idempotency key is in progress',
  version_mismatch: 'The resource has changed',
  version_missing: 'The header If-Match is missing',
};

export type ProblemCode = FailureCode | keyof typeof own;

export interface ProblemError {
  /** JSON pointer (RFC 6901) into the body. */
  readonly pointer?: string;
  /** Name of the path, query or header parameter. */
  readonly parameter?: string;
  readonly detail: string;
}

export interface ProblemOptions extends ErrorOptions {
  readonly errors?: readonly ProblemError[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Members beyond those of RFC 9457 and ours. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** A refusal on its way to the caller. `message` becomes `detail`: it names the value and says what to do. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly code: ProblemCode;
  readonly errors: readonly ProblemError[];
  readonly headers: Readonly<Record<string, string>>;
  readonly more: Readonly<Record<string, unknown>>;

  constructor(code: ProblemCode, message: string, options: ProblemOptions = {}) {
    super(message, options);
    this.code = code;
    this.errors = options.errors ?? [];
    this.headers = options.headers ?? {};
    this.more = options.more ?? {};
  }

  get status(): number {
    return problemStatus(this.code);
  }
}

export function problemStatus(code: ProblemCode): number {
  return isOwn(code) ? own[code].status : httpStatus(code);
}

export function problemTitle(code: ProblemCode): string {
  return isOwn(code) ? own[code].title : domainTitles[code];
}

/** The stable `type` of RFC 9457: a name, not a place. */
export function problemType(code: ProblemCode): string {
  return `urn:evenkeel:problem:${code.replaceAll('_', '-')}`;
}

/** Whether the answer carries `Retry-After`. */
export function saysWhenToRetry(code: ProblemCode): boolean {
  return isOwn(code) ? ['not_ready', 'overloaded', 'rate_limited'].includes(code) : isRetryable(code);
}

/** Turns whatever was thrown into what the caller sees; of an unexpected error nothing leaks. */
export function toProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  if (error instanceof DomainFailure) {
    const seconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1000));
    const headers = isRetryable(error.code) ? { 'retry-after': String(seconds) } : undefined;
    return new ApiProblem(error.code, error.message, { errors: error.errors, headers: headers ?? {}, cause: error });
  }
  return new ApiProblem('internal_error', 'Nothing you can do about it; quote the traceId when you report it.', {
    cause: error,
  });
}

/** The body of `application/problem+json`. */
export function problemBody(problem: ApiProblem, instance: string, traceId: string): Record<string, unknown> {
  return {
    type: problemType(problem.code),
    title: problemTitle(problem.code),
    status: problem.status,
    detail: problem.message,
    instance,
    code: problem.code,
    traceId,
    ...(problem.errors.length > 0 ? { errors: problem.errors } : {}),
    ...problem.more,
  };
}

function isOwn(code: ProblemCode): code is keyof typeof own {
  return Object.hasOwn(own, code);
}
