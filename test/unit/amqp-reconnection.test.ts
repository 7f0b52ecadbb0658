import { expect, test } from 'vitest';
import { reconnection } from '../../src/adapters/amqp/reconnection.ts';

const withoutJitter = () => reconnection(() => 1);

test('the waits for a broker that is away grow to ten seconds', () => {
  const waits = withoutJitter();
  const seen = Array.from({ length: 9 }, () => {
    waits.failed();
    return waits.delayMs();
  });
  expect(seen).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
});

test('connections that die young are as bad as none, though each of them stood', () => {
  const waits = withoutJitter();
  const seen = Array.from({ length: 4 }, () => {
    waits.broke(50);
    return waits.delayMs();
  });
  expect(seen).toEqual([100, 200, 400, 800]);
});

test('one that lived begins the waits anew', () => {
  const waits = withoutJitter();
  for (let n = 0; n < 5; n += 1) waits.failed();
  waits.broke(60_000);
  expect(waits.delayMs()).toBe(100);
});

test('half of a wait is jitter', () => {
  const waits = reconnection(() => 0);
  waits.failed();
  expect(waits.delayMs()).toBe(50);
});
