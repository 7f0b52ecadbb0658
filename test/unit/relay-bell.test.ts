import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createBell } from '../../src/delivery/bell.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('a ring wakes who waits, and leaves no timer behind', async () => {
  const bell = createBell();
  const waited = bell.wait(60_000);
  bell.ring();
  await waited;
  expect(vi.getTimerCount()).toBe(0);
});

test('a ring while nobody waits is kept for the next wait, and for that one only', async () => {
  const bell = createBell();
  bell.ring();
  bell.ring();
  await bell.wait();
  const second = bell.wait(50);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(50);
  await second;
});
