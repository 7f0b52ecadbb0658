import { expect, test } from 'vitest';
import { judge, stricter } from '../../src/domain/screening.ts';
import type { ScreeningResult } from '../../src/domain/step-ports.ts';

const rules = { reviewAboveMinor: 1000, reviewOrdersPerHour: 3 };

test.each([
  [1000, 3, { verdict: 'approve' }],
  [1001, 1, { verdict: 'review', reason: 'total_above_limit' }],
  [1000, 4, { verdict: 'review', reason: 'too_many_orders' }],
  [1001, 4, { verdict: 'review', reason: 'total_above_limit' }],
  [0, 1, { verdict: 'approve' }],
])('an order over %i as the %ith of its hour', (totalMinor, ordersWithinHour, expected) => {
  expect(judge(rules, { totalMinor, ordersWithinHour })).toEqual(expected);
});

const approve: ScreeningResult = { verdict: 'approve' };
const review = (reason: string): ScreeningResult => ({ verdict: 'review', reason });
const reject = (reason: string): ScreeningResult => ({ verdict: 'reject', reason });

test.each([
  [approve, approve, approve],
  [approve, review('theirs'), review('theirs')],
  [review('ours'), approve, review('ours')],
  [review('ours'), review('theirs'), review('ours')],
  [review('ours'), reject('theirs'), reject('theirs')],
  [reject('ours'), review('theirs'), reject('ours')],
])('of %j and %j the stricter counts', (ours, theirs, expected) => {
  expect(stricter(ours, theirs)).toEqual(expected);
});
