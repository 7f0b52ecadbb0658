import { expect, test } from 'vitest';
import { judge } from '../../src/domain/screening.ts';

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
