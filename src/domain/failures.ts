/**
 * The closed set of failures, and the one table that says of each whether trying again can help and which HTTP status
 * a caller sees. Refusals by the business (declined, out of stock) are results, not failures.
 */
const table = {
  /** A provider or a store did not answer, or answered that it cannot now. Its effect may have happened. */
  provider_unavailable: { retryable: true, httpStatus: 503 },
  provider_timeout: { retryable: true, httpStatus: 504 },
  provider_rate_limited: { retryable: true, httpStatus: 503 },
  /** A breaker is open: the provider was not asked, so nothing happened. */
  breaker_open: { retryable: true, httpStatus: 503 },
  /** As many calls of the provider run as may: it was not asked, so nothing happened. */
  bulkhead_full: { retryable: true, httpStatus: 503 },
  store_unavailable: { retryable: true, httpStatus: 503 },
  workflow_unavailable: { retryable: true, httpStatus: 503 },
  /** Who issues identities does not answer. */
  identity_unavailable: { retryable: true, httpStatus: 503 },
  unauthenticated: { retryable: false, httpStatus: 401 },
  forbidden: { retryable: false, httpStatus: 403 },
  /** A provider refused the request as such (malformed, unauthorised): the same request will never do. */
  provider_rejected: { retryable: false, httpStatus: 502 },
  /** An undo that the provider refuses: somebody must look. */
  undo_refused: { retryable: false, httpStatus: 502 },
  /** The step was undone before this late attempt began: it must not happen any more. */
  step_undone: { retryable: false, httpStatus: 409 },
  /** A transition that the tables of order and fulfillment forbid. */
  illegal_transition: { retryable: false, httpStatus: 409 },
  not_found: { retryable: false, httpStatus: 404 },
  invalid_input: { retryable: false, httpStatus: 422 },
  conflict: { retryable: false, httpStatus: 409 },
  not_cancellable: { retryable: false, httpStatus: 409 },
  attention_stale: { retryable: false, httpStatus: 409 },
  decision_not_allowed: { retryable: false, httpStatus: 409 },
  idempotency_key_missing: { retryable: false, httpStatus: 400 },
  idempotency_key_reused: { retryable: false, httpStatus: 422 },
  idempotency_in_progress: { retryable: true, httpStatus: 409 },
  version_mismatch: { retryable: false, httpStatus: 412 },
  version_missing: { retryable: false, httpStatus: 428 },
} as const satisfies Record<string, { retryable: boolean; httpStatus: number }>;

export type FailureCode = keyof typeof table;

/** One bad place in an input: a JSON pointer into the body (RFC 6901) and what to do about it. */
export interface InputError {
  readonly pointer: string;
  readonly detail: string;
}

export interface FailureOptions extends ErrorOptions {
  /** How long the other side asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly errors?: readonly InputError[];
  /** The call was not even made, as where no connection came to be: nothing can have happened. */
  readonly nothingSent?: boolean;
  /** The other side answered, and its answer is about the request: it says nothing of an outage. */
  readonly isWell?: boolean;
}

/** The one failure type of the domain. `message` is safe to show to the caller and says what to do. */
export class DomainFailure extends Error {
  override readonly name = 'DomainFailure';
  readonly code: FailureCode;
  readonly retryAfterMs: number | undefined;
  readonly errors: readonly InputError[];
  readonly nothingSent: boolean;
  readonly isWell: boolean;

  constructor(code: FailureCode, message: string, options: FailureOptions = {}) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.errors = options.errors ?? [];
    this.nothingSent = options.nothingSent ?? (code === 'breaker_open' || code === 'bulkhead_full');
    this.isWell = options.isWell ?? false;
  }
}

export function isRetryable(code: FailureCode): boolean {
  return table[code].retryable;
}

export function httpStatus(code: FailureCode): number {
  return table[code].httpStatus;
}
