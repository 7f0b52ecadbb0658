import { describe, expect, test } from 'vitest';
import { retryAfterMs } from '../../src/adapters/http/retry-after.ts';

const now = Date.parse('2026-11-21T12:00:00Z');

describe('Retry-After', () => {
  test.each([
    ['0', 0],
    ['120', 120_000],
    [' 5 ', 5_000],
    ['Sat, 21 Nov 2026 12:00:30 GMT', 30_000],
    ['Sat, 21 Nov 2026 11:59:00 GMT', 0],
  ])('%j is %i ms', (header, expected) => {
    expect(retryAfterMs(header, now)).toBe(expected);
  });

  test.each(['', 'soon', '-5', '1.5', '1e3', '2026-11-21', 'Sat, 99 Nov 2026 12:00:30 GMT', undefined])(
    '%j is no wait at all',
    (header) => {
      expect(retryAfterMs(header, now)).toBeUndefined();
    },
  );

  test('the first of several counts', () => {
    expect(retryAfterMs(['2', '9'], now)).toBe(2_000);
  });
});
