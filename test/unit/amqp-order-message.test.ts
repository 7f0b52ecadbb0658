import { expect, test } from 'vitest';
import { roundOf } from '../../src/adapters/amqp/order-message.ts';

test.each([
  [3, 3],
  [0, 0],
  [-1, 0],
  [1.5, 0],
  ['3', 0],
  [undefined, 0],
  [1_000_000_001, 1_000_000_001],
  [2 ** 40, 2_147_483_647],
])('the header x-evenkeel-round of %s is round %s', (header, round) => {
  expect(roundOf({ 'x-evenkeel-round': header })).toBe(round);
});
