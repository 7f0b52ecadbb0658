import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Rate, Rates } from '../../src/domain/overload-ports.ts';
import { createRateLimits } from '../../src/resilience/rates.ts';
import { createRemembered } from '../../src/resilience/remembered.ts';

const clock = () => {
  let at = 0;
  return { now: () => at, pass: (ms: number) => void (at += ms) };
};

/** The store's rule over a clock of the test's. */
function memoryRates(now: () => number): Rates & { asked: number } {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    asked: 0,
    lease(caller, wanted, { perSecond, burst }) {
      this.asked += 1;
      const { tokens, at } = buckets.get(caller) ?? { tokens: burst, at: now() };
      const filled = Math.min(burst, tokens + ((now() - at) / 1_000) * perSecond);
      const granted = Math.min(wanted, Math.ceil(Math.floor(filled) / 2));
      buckets.set(caller, { tokens: filled - granted, at: now() });
      return Promise.resolve(granted);
    },
    prune: () => Promise.resolve(0),
  };
}

const rate: Rate = { perSecond: 100, burst: 200 };

async function passed(take: () => Promise<{ readonly allowed: boolean }>, times: number): Promise<number> {
  let count = 0;
  for (let n = 0; n < times; n += 1) if ((await take()).allowed) count += 1;
  return count;
}

describe('a rate', () => {
  test('is not more, for all processes together, than the burst, what is earned, and what was leased', async () => {
    const calls = fc.array(fc.record({ process: fc.nat(2), requests: fc.nat(60), thenMs: fc.nat(700) }), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(calls, async (plan) => {
        const { now, pass } = clock();
        const rates = memoryRates(now);
        const processes = [0, 1, 2].map(() => createRateLimits({ rates, now }, rate));
        const passes: { at: number; count: number }[] = [];
        for (const { process, requests, thenMs } of plan) {
          const limits = processes[process];
          if (limits) passes.push({ at: now(), count: await passed(() => limits.take('key:a'), requests) });
          pass(thenMs);
        }
        for (const [first, { at: from }] of passes.entries()) {
          let sum = 0;
          for (const { at, count } of passes.slice(first)) {
            sum += count;
            expect(sum).toBeLessThanOrEqual(rate.burst + (rate.perSecond * (at - from)) / 1_000 + 3 * 20);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('lets a caller below it pass for ever, and another pass that one exceeds', async () => {
    const { now, pass } = clock();
    const limits = createRateLimits({ rates: memoryRates(now), now }, rate);
    for (let second = 0; second < 60; second += 1) {
      expect(await passed(() => limits.take('quiet'), 10)).toBe(10);
      await passed(() => limits.take('loud'), 500);
      pass(1_000);
    }
  });

  test('gives two processes that ask for too much about the same', async () => {
    const { now, pass } = clock();
    const rates = memoryRates(now);
    const [one, other] = [createRateLimits({ rates, now }, rate), createRateLimits({ rates, now }, rate)];
    const sums = [0, 0];
    for (let round = 0; round < 2_000; round += 1) {
      sums[0] = (sums[0] ?? 0) + (await passed(() => one.take('a'), 2));
      sums[1] = (sums[1] ?? 0) + (await passed(() => other.take('a'), 2));
      pass(5);
    }
    const [least = 0, most = 1] = sums.toSorted((a, b) => a - b);
    expect(least / most).toBeGreaterThan(0.5);
    expect(least + most).toBeGreaterThan(1_000);
  });

  test('asks the store far less often than there are requests, even of a flood that is refused', async () => {
    const { now, pass } = clock();
    const rates = memoryRates(now);
    const limits = createRateLimits({ rates, now }, rate);
    for (let tick = 0; tick < 1_000; tick += 1) {
      await passed(() => limits.take('a'), 10);
      pass(1);
    }
    expect(rates.asked).toBeLessThan(60);
  });

  test('shares one lease among requests that come at once', async () => {
    const { now } = clock();
    const rates = memoryRates(now);
    const limits = createRateLimits({ rates, now }, rate);
    const verdicts = await Promise.all(Array.from({ length: 10 }, () => limits.take('a')));
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(10);
    expect(rates.asked).toBeLessThan(5);
  });

  test('says when to come back', async () => {
    const { now } = clock();
    const limits = createRateLimits({ rates: memoryRates(now), now }, { perSecond: 1, burst: 1 });
    expect(await limits.take('a')).toEqual({ allowed: true });
    expect(await limits.take('a')).toEqual({ allowed: false, retryAfterMs: 1_000 });
  });

  test.each([
    ['refuses', () => Promise.reject(new Error('connection refused'))],
    ['does not answer', () => new Promise<never>(() => {})],
  ])('goes on by itself while the store %s, asks it once in a second, and says so once', async (_how, lease) => {
    const { now, pass } = clock();
    const told: string[] = [];
    let asked = 0;
    const rates = {
      lease: () => {
        asked += 1;
        return asked < 3 ? lease() : Promise.resolve(1);
      },
    };
    const limits = createRateLimits({ rates, now, reach: (is) => void told.push(is) }, rate);
    expect(await passed(() => limits.take('a'), 300)).toBe(200);
    expect(await passed(() => limits.take('b'), 300)).toBe(200);
    expect(await limits.take('a')).toEqual({ allowed: false, retryAfterMs: 10 });
    expect(asked).toBe(1);
    pass(1_001);
    expect(await passed(() => limits.take('a'), 300)).toBe(100);
    pass(1_001);
    await limits.take('a');
    expect([asked, told]).toEqual([3, ['away', 'back']]);
  });
});

describe('an address that fails to say who it is', () => {
  const fail = (limits: ReturnType<typeof createRateLimits>, address: string, times: number): void => {
    for (let n = 0; n < times; n += 1) limits.failed(address);
  };
  const over = () => {
    const time = clock();
    return { ...time, limits: createRateLimits({ rates: memoryRates(time.now), now: time.now }, rate) };
  };

  test('may fail ten times, then once in six seconds', () => {
    const { limits, pass } = over();
    fail(limits, '8.8.8.8', 9);
    expect(limits.mayTry('8.8.8.8')).toEqual({ allowed: true });
    fail(limits, '8.8.8.8', 1);
    expect(limits.mayTry('8.8.8.8')).toEqual({ allowed: false, retryAfterMs: 6_000 });
    expect(limits.mayTry('8.8.4.4')).toEqual({ allowed: true });
    pass(6_001);
    expect(limits.mayTry('8.8.8.8')).toEqual({ allowed: true });
  });

  test('is a /64 of IPv6, and an IPv4 address however it is written', () => {
    const { limits } = over();
    fail(limits, '2600:1:2:3::1', 10);
    expect(limits.mayTry('2600:1:2:3:ffff::2')).toMatchObject({ allowed: false });
    expect(limits.mayTry('2600:1:2:4::1')).toEqual({ allowed: true });
    fail(limits, '::ffff:8.8.8.8', 10);
    expect(limits.mayTry('8.8.8.8')).toMatchObject({ allowed: false });
  });

  test.each(['127.0.0.1', '::1', '10.0.0.7', '::ffff:192.168.1.1', 'fd00::1', ''])(
    'is none that a balancer may have, behind which stand all: %j',
    (address) => {
      const { limits } = over();
      fail(limits, address, 1_000);
      expect(limits.mayTry(address)).toEqual({ allowed: true });
    },
  );
});

test('what is remembered of keys is bounded, and those that are in use stay', () => {
  const remembered = createRemembered<number>(3);
  for (const key of ['a', 'b', 'c', 'a', 'd']) remembered.get(key, () => 1);
  expect(['a', 'b', 'c', 'd'].filter((key) => remembered.has(key))).toEqual(['a', 'c', 'd']);
});
