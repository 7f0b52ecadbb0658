import { describe, expect, test } from 'vitest';
import {
  type BreakerStore,
  type ForcedState,
  type ToldBreaker,
  type ToldTransition,
  breakerNames,
} from '../../src/domain/breakers.ts';
import { DomainFailure, type FailureCode } from '../../src/domain/failures.ts';
import type { Attempt } from '../../src/domain/step-ports.ts';
import { limitsOf } from '../../src/resilience/bulkhead.ts';
import { createBreakers } from '../../src/resilience/breakers.ts';
import type { GuardObserver } from '../../src/resilience/guard.ts';
import { guardedCall, guardedCarrier, guardedGateway } from '../../src/resilience/provider.ts';
import { MemoryCarrier, MemoryGateway } from '../support/memory-providers.ts';

const failing = (code: FailureCode) => () => Promise.reject(new DomainFailure(code, 'as the test wants it'));

/** The breakers of one process, with a clock that is set by hand, and what their observer was told. */
function aProcess(worker = 'one', concurrency = 100) {
  const told: (readonly [string, ...unknown[]])[] = [];
  const clock = { now: 0 };
  const observer: GuardObserver = {
    refused: (name, by) => void told.push(['refused', name, by]),
    transition: (name, { from, to, cause }) => void told.push(['transition', name, from, to, cause]),
    inFlight: (name, calls) => void told.push(['inFlight', name, calls]),
  };
  const now = (): number => clock.now;
  const breakers = createBreakers({ worker, concurrency, observer, now, random: () => 0.5 });
  const attempt = (changes: Partial<Attempt> = {}): Attempt => ({
    signal: new AbortController().signal,
    deadline: clock.now + 10_000,
    ...changes,
  });
  const guard = breakers.guard('payment');
  const call = <T>(work: () => Promise<T>, changes?: Partial<Attempt>) => guard.run('do', attempt(changes), work);
  return {
    told,
    clock,
    breakers,
    guard,
    attempt,
    call,
    /** What one call after another comes to: its answer, or the code of its failure. */
    async calls(work: () => Promise<unknown>, times: number, changes?: Partial<Attempt>) {
      const ends: unknown[] = [];
      for (let time = 0; time < times; time += 1) {
        ends.push(await call(work, changes).catch((error: unknown) => (error as Partial<DomainFailure>).code ?? error));
      }
      return ends;
    },
    of: (kind: string) => told.filter(([what]) => what === kind),
  };
}

describe('a guard', () => {
  test('refuses what its breaker does not let through, without asking, and says when to come again', async () => {
    const { calls, call, clock, of } = aProcess();
    await calls(failing('provider_unavailable'), 10);
    clock.now += 1_000;
    let isAsked = false;
    const refused = call(() => Promise.resolve((isAsked = true)));
    await expect(refused).rejects.toMatchObject({ code: 'breaker_open', retryAfterMs: 4_000 });
    expect(isAsked).toBe(false);
    expect(of('refused')).toEqual([['refused', 'payment', 'breaker']]);
    expect(of('transition')).toEqual([['transition', 'payment', 'closed', 'open', '10 of 10 calls failed']]);
  });

  test.each<[string, FailureCode]>([
    ['a refusal of the request', 'provider_rejected'],
    ['a rate limit', 'provider_rate_limited'],
    ['a failure of our own', 'store_unavailable'],
  ])('counts %s for nothing', async (_, code) => {
    const { calls, of } = aProcess();
    await calls(failing(code), 50);
    expect(of('transition')).toEqual([]);
  });

  test('counts nothing of a provider that answers "not now" and is well', async () => {
    const { calls, of } = aProcess();
    const busy = () => Promise.reject(new DomainFailure('provider_unavailable', 'key in use', { isWell: true }));
    await calls(busy, 50);
    expect(of('transition')).toEqual([]);
  });

  test('counts time-outs, but none that the caller’s own leaving was', async () => {
    const { calls, of } = aProcess();
    const left = AbortSignal.any([]);
    const gone = new AbortController();
    const leaving = async (): Promise<never> => {
      gone.abort(new Error('cancelled'));
      return failing('provider_timeout')();
    };
    expect(await calls(leaving, 1, { signal: gone.signal })).toEqual(['provider_timeout']);
    expect(await calls(failing('provider_timeout'), 9, { signal: left })).toHaveLength(9);
    expect(of('transition')).toEqual([]);
    await calls(failing('provider_timeout'), 1);
    expect(of('transition')).toHaveLength(1);
  });

  test('counts the time-out of an attempt, whose signal fires then', async () => {
    const { calls, of, clock } = aProcess();
    const over = AbortSignal.timeout(0);
    const hanging = async (): Promise<never> => {
      if (!over.aborted) await new Promise((resolve) => over.addEventListener('abort', resolve));
      return failing('provider_timeout')();
    };
    await calls(failing('provider_timeout'), 9);
    await calls(hanging, 1, { signal: over, deadline: clock.now + 10_000 });
    expect(of('transition')).toHaveLength(1);
  });

  test('does not take a provider for away that was given less than two seconds', async () => {
    const { calls, of } = aProcess();
    await calls(failing('provider_timeout'), 50, { deadline: 1_400 });
    expect(of('transition')).toEqual([]);
    await calls(failing('provider_timeout'), 10, { deadline: 2_000 });
    expect(of('transition')).toHaveLength(1);
  });

  test('takes one for away that has one time for each call, and did not keep it', async () => {
    const { breakers, attempt, of } = aProcess();
    const hang: (bounds: Attempt) => Promise<never> = failing('provider_timeout');
    const risk = guardedCall(breakers.guard('risk'), hang);
    for (let time = 0; time < 10; time += 1) await risk(attempt({ deadline: 1_000 })).catch(() => undefined);
    expect(of('transition')).toMatchObject([['transition', 'risk', 'closed', 'open', expect.any(String)]]);
  });

  test('counts an answer that took more than five seconds as a failure, and hands it on', async () => {
    const { calls, of, clock } = aProcess();
    const slow = (ms: number) => () => {
      clock.now += ms;
      return Promise.resolve('done');
    };
    expect(await calls(slow(5_000), 5, { deadline: Infinity })).toEqual(Array(5).fill('done'));
    expect(of('transition')).toEqual([]);
    expect(await calls(slow(5_001), 5, { deadline: Infinity })).toContain('done');
    expect(of('transition')).toHaveLength(1);
  });

  test.each([
    ['whose time is over', { deadline: 0 }],
    ['that was given up', { signal: AbortSignal.abort() }],
  ])('does not ask for an attempt %s, and counts nothing', async (_, changes) => {
    const { calls, told } = aProcess();
    expect(await calls(() => Promise.resolve('asked'), 50, changes)).toEqual(Array(50).fill('provider_timeout'));
    expect(told).toEqual([]);
  });

  test('gives back the place of a call that ended by a fault of ours', async () => {
    const { calls } = aProcess('one', 2);
    const broken = () => {
      throw new TypeError('a bug');
    };
    expect(await calls(broken, 10)).toEqual(Array(10).fill(expect.any(TypeError)));
    expect(await calls(() => Promise.resolve('asked'), 1)).toEqual(['asked']);
  });
});

describe('a bulkhead', () => {
  test('refuses at once what is one too many, which counts for nothing, and keeps places for what takes back', async () => {
    const { guard, attempt, of } = aProcess('one', 4);
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const begin = (kind: 'do' | 'undo') => guard.run(kind, attempt(), () => done);
    const running = [begin('do'), begin('do'), begin('do')];
    for (let time = 0; time < 20; time += 1) {
      await expect(begin('do')).rejects.toMatchObject({ code: 'bulkhead_full', retryAfterMs: 1_000 });
    }
    running.push(begin('undo'));
    await expect(begin('undo')).rejects.toMatchObject({ code: 'bulkhead_full' });
    expect(of('inFlight').map(([, , calls]) => calls)).toEqual([1, 2, 3, 4]);
    resolve();
    await Promise.all(running);
    await begin('do');
    expect(of('inFlight').at(-1)).toEqual(['inFlight', 'payment', 0]);
    expect(of('transition')).toEqual([]);
  });

  test.each([
    [1, 0],
    [2, 1],
    [16, 1],
    [100, 10],
  ])('of %i places keeps %i', (limit, reserved) => {
    expect(limitsOf(limit)).toEqual({ limit, reserved });
  });

  test('does not lose the place of a probe that it refuses', async () => {
    const { guard, attempt, calls, clock } = aProcess('one', 4);
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const hanging = [1, 2, 3].map(() => guard.run('do', attempt(), () => done));
    await Promise.all(
      Array.from({ length: 10 }, () =>
        guard.run('undo', attempt(), failing('provider_unavailable')).catch(() => undefined),
      ),
    );
    for (let time = 0; time < 9; time += 1) {
      await guard.run('undo', attempt(), failing('provider_unavailable')).catch(() => undefined);
    }
    clock.now += 5_000;
    expect(await calls(() => Promise.resolve(), 10)).toEqual(Array(10).fill('bulkhead_full'));
    resolve();
    await Promise.all(hanging);
    expect(await calls(() => Promise.resolve('asked'), 4)).toEqual(Array(4).fill('asked'));
  });
});

describe('a guarded port', () => {
  test.each(['authorize', 'capture', 'void', 'refund', 'lookup'] as const)(
    'asks no gateway to %s while open',
    async (method) => {
      const { breakers, calls, attempt } = aProcess();
      await calls(failing('provider_unavailable'), 10);
      const gateway = guardedGateway(new MemoryGateway(), breakers.guard('payment'));
      const ask = gateway[method] as (...args: unknown[]) => Promise<unknown>;
      const args = method === 'lookup' ? ['key', attempt()] : ['key', {}, attempt()];
      await expect(ask(...args)).rejects.toMatchObject({ code: 'breaker_open' });
    },
  );

  test.each(['book', 'cancel', 'lookup'] as const)(
    'asks the carrier to %s, as its own breaker is closed',
    async (method) => {
      const { breakers, calls, told, attempt } = aProcess();
      await calls(failing('provider_unavailable'), 10);
      const carrier = guardedCarrier(new MemoryCarrier(), breakers.guard('carrier'));
      const ask = carrier[method] as (...args: unknown[]) => Promise<unknown>;
      const args = method === 'lookup' ? ['key', attempt()] : ['key', {}, attempt()];
      await ask(...args).catch(() => undefined);
      expect(told).toContainEqual(['inFlight', 'carrier', 1]);
    },
  );

  test('of one method is called with what it was given', async () => {
    const { breakers, attempt } = aProcess();
    const screen = (orderId: string, { deadline }: Attempt) => Promise.resolve([orderId, deadline]);
    const guarded = guardedCall(breakers.guard('risk'), screen);
    expect(await guarded('o-1', attempt())).toEqual(['o-1', 10_000]);
  });
});

describe('the breakers of a process', () => {
  function storeOf(wanted: Partial<Record<'payment', ForcedState>> = {}) {
    const reports: (readonly [string, readonly ToldBreaker[], readonly ToldTransition[]])[] = [];
    const store: Pick<BreakerStore, 'forced' | 'report'> & { isAway: boolean } = {
      isAway: false,
      forced() {
        if (store.isAway) return Promise.reject(new DomainFailure('store_unavailable', 'away'));
        const state = wanted.payment;
        return Promise.resolve(
          state === undefined ? {} : { payment: { state, reason: 'they asked us to', actor: 'ada', at: null } },
        );
      },
      report: (...report) => Promise.resolve(void reports.push(report)),
    };
    return { store, reports, wanted };
  }

  test('do as operators want, and by themselves again once nobody does', async () => {
    const { breakers, calls, told } = aProcess();
    const { store, wanted } = storeOf({ payment: 'open' });
    await breakers.sync(store);
    expect(await calls(() => Promise.resolve('asked'), 1)).toEqual(['breaker_open']);
    delete wanted.payment;
    await breakers.sync(store);
    expect(await calls(() => Promise.resolve('asked'), 1)).toEqual(['asked']);
    expect(told).toContainEqual(['transition', 'payment', 'closed', 'forced-open', 'ada: they asked us to']);
    expect(told).toContainEqual(['transition', 'payment', 'forced-open', 'closed', 'an operator: no longer forced']);
  });

  test('stay as they are while the store is away, and tell then what they could not, once', async () => {
    const { breakers, calls, clock } = aProcess();
    const { store, reports } = storeOf({ payment: 'open' });
    await breakers.sync(store);
    store.isAway = true;
    await expect(breakers.sync(store)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await calls(() => Promise.resolve('asked'), 1)).toEqual(['breaker_open']);
    store.isAway = false;
    clock.now += 60_000;
    await breakers.sync(store);
    await breakers.sync(store);
    expect(reports.map(([, , transitions]) => transitions.length)).toEqual([1, 0, 0]);
  });

  test('tell how they are, and how long ago they came to that', async () => {
    const { breakers, calls, clock } = aProcess('host-1:42');
    const { store, reports } = storeOf();
    await calls(failing('provider_unavailable'), 10);
    clock.now += 2_000;
    await breakers.sync(store);
    clock.now += 4_000;
    await breakers.sync(store);
    const [first, second] = reports;
    expect(first?.[0]).toBe('host-1:42');
    const transition = { name: 'payment', from: 'closed', to: 'open', cause: '10 of 10 calls failed' };
    expect(first?.[2]).toEqual([{ ...transition, msAgo: 2_000 }]);
    expect(first?.[1]).toHaveLength(breakerNames.length);
    expect(first?.[1][0]).toEqual({ name: 'payment', state: 'open', sinceMsAgo: 2_000, calls: 0, failures: 0 });
    // Nobody called it: time alone makes it half-open, and nobody takes it for open for hours.
    expect(second?.[1][0]).toMatchObject({ state: 'half-open', sinceMsAgo: 0 });
  });
});
