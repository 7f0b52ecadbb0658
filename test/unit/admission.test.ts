import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createAdmission } from '../../src/delivery/admission.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { Backlog } from '../../src/domain/overload-ports.ts';
import { type AdmissionState, afterLook, calm, verdictOf } from '../../src/resilience/admission.ts';

const SHED_AGE_MS = 2_000;
const never = () => 0.999;

/** What looks at these ages, a second apart, lead to. */
function after(ages: readonly (number | undefined)[], from: AdmissionState = calm): AdmissionState {
  const start = from.last?.at ?? 0;
  return ages.reduce<AdmissionState>((state, ageMs, index) => {
    const backlog = ageMs === undefined ? undefined : { ageMs, waiting: Math.ceil(ageMs / 10) };
    return afterLook(state, { at: start + (index + 1) * 1_000, backlog }, SHED_AGE_MS);
  }, from);
}

const overloaded = after([2_000, 2_500]);
const admits = (state: AdmissionState, random = never) =>
  (['critical', 'normal', 'background'] as const).filter((priority) => verdictOf(state, priority, random).allowed);

describe('pressure', () => {
  test('is none for one look, however old the backlog: something may have hung for a moment', () => {
    expect(after([60_000]).pressure).toBe(0);
    expect(after([60_000, 10, 60_000]).pressure).toBe(0);
  });

  test('sheds background requests first, new orders at twice that age, and critical requests never', () => {
    expect(admits(after([1_000, 1_000]))).toEqual(['critical', 'normal']);
    expect(admits(overloaded)).toEqual(['critical']);
    expect(admits(after(Array.from({ length: 1_000 }, () => 1e9)))).toEqual(['critical']);
  });

  test('is kept until the backlog is half as old for three looks in a row', () => {
    expect(after([1_500, 1_500, 1_500], overloaded).pressure).toBe(2);
    expect(after([900, 900, 1_100, 900, 900], overloaded).pressure).toBe(2);
    expect(after([900, 900, 900], overloaded).pressure).toBe(1);
  });

  test('lets new orders back little by little, and background requests only after all of these', () => {
    const waning = after([100, 100, 100], overloaded);
    const admitted = (state: AdmissionState) =>
      Array.from({ length: 100 }, (_, n) => verdictOf(state, 'normal', () => n / 100).allowed).filter(Boolean).length;
    expect([waning.pressure, admitted(waning)]).toEqual([1, 10]);
    expect(admitted(after([100, 100], waning))).toBe(23);
    expect(after([100, 100], waning).pressure).toBe(1);
    const over = after([100, 100, 100, 100, 100, 100], waning);
    expect([over.pressure, admits(over)]).toEqual([0, ['critical', 'normal', 'background']]);
  });

  test('is back at the first look that shows that too many came back', () => {
    const waning = after([100, 100, 100, 100], overloaded);
    expect(after([2_100], waning).pressure).toBe(2);
  });

  test('lifts by itself whatever went before, once nothing waits', () => {
    const ages = fc.array(fc.option(fc.integer({ min: 0, max: 100_000 }), { nil: undefined }), { maxLength: 50 });
    fc.assert(
      fc.property(ages, (history) => {
        const ended = after(
          Array.from({ length: 20 }, () => 0),
          after(history),
        );
        expect([ended.pressure, ended.share]).toEqual([0, 1]);
      }),
    );
  });

  test('outlives a look that tells nothing, and is lifted by five: what is away is no overload', () => {
    expect(after([undefined, undefined, undefined, undefined], overloaded).pressure).toBe(2);
    expect(after([undefined, undefined, undefined, undefined, undefined], overloaded).pressure).toBe(0);
  });
});

describe('Retry-After', () => {
  const retryAfterMs = (state: AdmissionState, random: () => number): number => {
    const verdict = verdictOf(state, 'normal', random);
    if (verdict.allowed) throw new Error('it is admitted');
    return verdict.retryAfterMs;
  };
  const look = (state: AdmissionState, at: number, waiting: number) =>
    afterLook(state, { at, backlog: { ageMs: 5_000, waiting } }, SHED_AGE_MS);

  test('is the time until the backlog is worked off at the pace of late', () => {
    const draining = [900, 800, 700].reduce(
      (state, waiting, n) => look(state, 3_000 + n * 1_000, waiting),
      look(look(calm, 1_000, 1_100), 2_000, 1_000),
    );
    expect(draining.perSecond).toBe(100);
    expect(retryAfterMs(draining, () => 0)).toBe(7_000);
  });

  test('is as long as it has lasted where nothing is worked off', () => {
    expect(retryAfterMs(overloaded, () => 0)).toBe(2_500);
  });

  test('is between a second and a minute, and spread', () => {
    expect(retryAfterMs({ ...overloaded, untilDoneMs: 3 }, () => 0)).toBe(1_000);
    expect(retryAfterMs({ ...overloaded, untilDoneMs: 1e9 }, never)).toBeLessThanOrEqual(60_000);
    expect(retryAfterMs(overloaded, never)).toBeGreaterThan(retryAfterMs(overloaded, () => 0) * 1.4);
  });
});

describe('the loop', () => {
  const temporal = (backlog: number) => () =>
    Promise.resolve({
      workflow: { backlog, backlogAgeMs: 0, pollers: 1 },
      activity: { backlog: 0, backlogAgeMs: 0, pollers: 1 },
    });

  /** Runs until two looks are over. */
  async function looked(
    backlog: () => Promise<Backlog>,
    describeQueues: () => ReturnType<ReturnType<typeof temporal>>,
  ) {
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const lines: string[] = [];
    const write = (_fields: object, line: string): void => void lines.push(line);
    let looks = 0;
    const twice = Promise.withResolvers<void>();
    const admission = createAdmission(
      {
        backlogs: { read: backlog },
        taskQueues: { describe: describeQueues },
        log: { info: write, warn: write, error: write },
        looked() {
          looks += 1;
          if (looks === 2) twice.resolve();
        },
      },
      { shedAgeMs: SHED_AGE_MS },
    );
    const running = admission.run(stop.signal);
    await twice.promise;
    stop.abort();
    await running;
    return { admission, lines };
  }

  const old = () => Promise.resolve({ ageMs: 30_000, waiting: 500 });

  test('sheds what waits for a worker, and says so to who asks for readiness', async () => {
    const { admission, lines } = await looked(old, temporal(500));
    expect(admission.admit('normal')).toMatchObject({ allowed: false });
    expect([admission.pressure, admission.backlogAgeMs]).toEqual([2, 30_000]);
    await expect(admission.check()).rejects.toThrow('orders wait 30000 ms for their turn; new orders are refused');
    expect(lines).toEqual(['overload: new orders are refused']);
  });

  test('sheds nothing for orders that no task waits for', async () => {
    const { admission } = await looked(old, temporal(0));
    expect(admission.pressure).toBe(0);
    await expect(admission.check()).resolves.toBeUndefined();
  });

  test('sheds nothing for an outage of Temporal, and says once that it cannot tell', async () => {
    const away = () => Promise.reject(new DomainFailure('workflow_unavailable', 'connection refused'));
    const { admission, lines } = await looked(old, away);
    expect(admission.admit('normal')).toEqual({ allowed: true });
    expect(lines).toEqual(['the backlog cannot be told: nothing new is shed for it']);
  });

  test('does not ask Temporal while nothing waits', async () => {
    const asked = () => Promise.reject(new Error('asked'));
    const { lines } = await looked(() => Promise.resolve({ ageMs: 20, waiting: 1 }), asked);
    expect(lines).toEqual([]);
  });
});
