import { expect, test } from 'vitest';
import { DomainFailure, httpStatus, isRetryable } from '../../src/domain/failures.ts';

test.each([
  ['provider_unavailable', true, 503],
  ['provider_timeout', true, 504],
  ['store_unavailable', true, 503],
  ['provider_rejected', false, 502],
  ['step_undone', false, 409],
  ['illegal_transition', false, 409],
  ['invalid_input', false, 422],
  ['attention_stale', false, 409],
] as const)('%s: may be tried again %s, HTTP %d', (code, retryable, status) => {
  expect(isRetryable(code)).toBe(retryable);
  expect(httpStatus(code)).toBe(status);
});

test('a failure keeps what the caller needs to know', () => {
  const cause = new Error('socket');
  const errors = [{ pointer: '/items/0/sku', detail: 'unknown SKU' }];
  const failure = new DomainFailure('provider_unavailable', 'try later', { cause, retryAfterMs: 5000, errors });
  expect(failure).toMatchObject({ code: 'provider_unavailable', retryAfterMs: 5000, errors, cause });
  expect(new DomainFailure('not_found', 'no such order')).toMatchObject({ retryAfterMs: undefined, errors: [] });
});
