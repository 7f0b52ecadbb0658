import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SloCounts } from '../../src/domain/objectives.ts';
import {
  addCounts,
  type BudgetState,
  budgetOf,
  budgetWindows,
  budgetWindowsMs,
  burnRateOf,
  sliOf,
  stateOf,
} from '../../src/slo/budget.ts';

const counted = (good: number, bad: number, excluded = 0): SloCounts => ({ good, bad, excluded });
const nothing = counted(0, 0);

const count = fc.nat({ max: 1_000_000 });
const counts: fc.Arbitrary<SloCounts> = fc.record({ good: count, bad: count, excluded: count });
/** In millionths, so that every target that a file may have is tried. */
const target = fc.integer({ min: 1, max: 999_999 }).map((millionths) => millionths / 1_000_000);
const severity = fc.constantFrom('page', 'ticket');

/** Windows as they are: each lies within the next, so that it holds no more of anything. */
const windows: fc.Arbitrary<readonly SloCounts[]> = fc
  .array(counts, { minLength: budgetWindows.length, maxLength: budgetWindows.length })
  .map((parts) => parts.map((_, at) => addCounts(parts.slice(0, at + 1))));

/** Every window holds the same: all of it happened within the last five minutes. */
const justNow = (good: number, bad: number) => budgetWindows.map(() => counted(good, bad));

/** The windows from `first` on, those below are empty: it happened longer ago. */
const since = (first: (typeof budgetWindows)[number], good: number, bad: number) =>
  budgetWindows.map((_, at) => (at >= budgetWindows.indexOf(first) ? counted(good, bad) : nothing));

const page = { target: 0.999, severity: 'page' } as const;

function hoursLeft(exhaustion: BudgetState['exhaustion']): number {
  if (exhaustion.state === 'burning') return exhaustion.hours;
  return exhaustion.state === 'exhausted' ? 0 : Number.POSITIVE_INFINITY;
}

function numbersIn(value: unknown): readonly number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}

describe('without events', () => {
  test('there is not enough data, which is neither 0 nor 100 %', () => {
    const state = stateOf(page, justNow(0, 0));
    expect(state).toMatchObject({ sli: undefined, budget: undefined, exhaustion: { state: 'not_enough_data' } });
    expect(state.windows.map(({ sli, burnRate }) => [sli, burnRate])).toEqual(
      budgetWindows.map(() => [undefined, undefined]),
    );
    expect(state.alarm).toBe('none');
  });

  test('excluded ones are none', () => {
    expect(
      stateOf(
        page,
        budgetWindows.map(() => counted(0, 0, 7)),
      ).sli,
    ).toBeUndefined();
  });

  test('of the last hour, the budget of the month is known all the same', () => {
    const { sli, budget, exhaustion, windows: each } = stateOf(page, since('3d', 9_995, 5));
    expect([sli, budget]).toEqual([0.9995, { allowedEvents: 10, badEvents: 5, leftEvents: 5, leftShare: 0.5 }]);
    expect(each.find(({ window }) => window === '1h')).toMatchObject({
      events: 0,
      sli: undefined,
      burnRate: undefined,
    });
    expect(exhaustion).toMatchObject({ state: 'burning', window: '3d' });
  });
});

describe('a budget is exact', () => {
  test.each<[string, number, number, number, object]>([
    ['one good event', 0.999, 1, 0, { allowedEvents: 0.001, leftEvents: 0.001, leftShare: 1 }],
    ['one bad event', 0.999, 0, 1, { allowedEvents: 0.001, leftEvents: -0.999, leftShare: -999 }],
    ['all bad', 0.99, 0, 500, { allowedEvents: 5, leftEvents: -495, leftShare: -99 }],
    ['just on target', 0.999, 999, 1, { allowedEvents: 1, leftEvents: 0, leftShare: 0 }],
    ['one event short of the target', 0.999, 2_997, 3, { allowedEvents: 3, leftEvents: 0, leftShare: 0 }],
    ['a target with no short binary form', 0.9, 6, 1, { allowedEvents: 0.7, leftEvents: -0.3 }],
    ['the strictest target', 0.999999, 999_999, 1, { allowedEvents: 1, leftEvents: 0, leftShare: 0 }],
    ['the loosest target', 0.000001, 1, 999_999, { allowedEvents: 999_999, leftEvents: 0, leftShare: 0 }],
  ])('with %s', (_, aim, good, bad, expected) => {
    expect(budgetOf(aim, { good, bad })).toMatchObject({ badEvents: bad, ...expected });
  });

  test('on target it burns at just 1, and twice as many bad ones burn at 2', () => {
    expect(burnRateOf(0.999, { good: 999, bad: 1 })).toBe(1);
    expect(burnRateOf(0.999, { good: 998, bad: 2 })).toBe(2);
    expect(burnRateOf(0.999, { good: 0, bad: 3 })).toBe(1_000);
  });

  test.each([0, 1, -1, 1.5, Number.NaN, 0.9999999])('and a target of %d, which no file can have, is refused', (aim) => {
    expect(() => budgetOf(aim, { good: 1, bad: 1 })).toThrow(RangeError);
  });

  test('counts that are not those of the windows are refused', () => {
    expect(() => stateOf(page, [nothing])).toThrow(RangeError);
    expect(budgetWindowsMs).toHaveLength(budgetWindows.length);
    expect(budgetWindowsMs.at(-1)).toBe(30 * 24 * 3_600_000);
  });
});

describe('the time to exhaustion', () => {
  const exhaustion = (each: readonly SloCounts[]): BudgetState['exhaustion'] => stateOf(page, each).exhaustion;

  test('is over once the last bad event that is allowed has happened', () => {
    expect(exhaustion(since('30d', 999, 1))).toEqual({ state: 'exhausted' });
    expect(exhaustion(since('30d', 1_000, 1)).state).toBe('not_burning');
  });

  test('goes by the last hour where that has enough bad events to speak of a rate', () => {
    const each = budgetWindows.map((window) => (window === '30d' ? counted(99_950, 50) : counted(100, 10)));
    expect(exhaustion(each)).toEqual({ state: 'burning', hours: 5, window: '1h' });
  });

  test('goes by the day where the last hours have one bad event only', () => {
    const bad = { '5m': 0, '30m': 0, '1h': 1, '2h': 1, '6h': 1, '1d': 12, '3d': 12, '30d': 50 };
    const each = budgetWindows.map((window) => counted(100_000 - bad[window], bad[window]));
    expect(exhaustion(each)).toEqual({ state: 'burning', hours: 100, window: '1d' });
  });

  test('is none where the budget lasts for the whole window, in which it is renewed', () => {
    expect(exhaustion(since('30d', 99_950, 50)).state).toBe('not_burning');
    expect(exhaustion(since('1h', 1_000_000, 0)).state).toBe('not_burning');
  });
});

describe('the alarm is that of the alerts', () => {
  test.each<[string, BudgetState['alarm'], readonly SloCounts[]]>([
    ['the third bad event within the hour', 'page', justNow(97, 3)],
    ['two of only two events', 'ticket', justNow(0, 2)],
    ['a single bad event of one', 'none', justNow(0, 1)],
    ['what is over for five minutes, of an hour ago', 'page', since('30m', 97, 3)],
    ['what is over for half an hour', 'ticket', since('1h', 97, 3)],
    ['what is over for six hours', 'none', since('1d', 97, 3)],
    ['a rate that is just what can be afforded', 'none', justNow(99_900, 100)],
  ])('with %s it is %s', (_, alarm, each) => {
    expect(stateOf(page, each).alarm).toBe(alarm);
  });

  test('and nobody is woken for an objective that makes tickets', () => {
    expect(stateOf({ target: 0.99, severity: 'ticket' }, justNow(0, 50)).alarm).toBe('ticket');
  });
});

describe('for any counts', () => {
  test('a window that is split and added up again says the same', () => {
    fc.assert(
      fc.property(fc.array(counts, { maxLength: 6 }), fc.nat(), target, (parts, seed, aim) => {
        const at = parts.length === 0 ? 0 : seed % parts.length;
        const whole = addCounts(parts);
        const halves = addCounts([addCounts(parts.slice(0, at)), addCounts(parts.slice(at))]);
        expect(halves).toEqual(whole);
        expect(budgetOf(aim, halves)).toEqual(budgetOf(aim, whole));
      }),
    );
  });

  test('a ratio is that of all events, whatever the parts of the window looked like', () => {
    fc.assert(
      fc.property(fc.array(counts, { minLength: 1, maxLength: 6 }), (parts) => {
        const events = parts.flatMap(({ good, bad }) => [good, bad]).reduce((sum, each) => sum + each, 0);
        const good = parts.reduce((sum, part) => sum + part.good, 0);
        expect(sliOf(addCounts(parts))).toEqual(events === 0 ? undefined : good / events);
      }),
    );
  });

  test('no number that leaves is infinite or none', () => {
    fc.assert(
      fc.property(windows, target, severity, (each, aim, told) => {
        expect(
          numbersIn(stateOf({ target: aim, severity: told }, each)).filter((one) => !Number.isFinite(one)),
        ).toEqual([]);
      }),
    );
  });

  test('one more bad event never makes anything look better', () => {
    fc.assert(
      fc.property(counts, target, ({ good, bad }, aim) => {
        const [before, after] = [bad, bad + 1].map((present) => {
          const { leftShare = 1, leftEvents = Number.POSITIVE_INFINITY } = budgetOf(aim, { good, bad: present }) ?? {};
          return {
            leftShare,
            leftEvents,
            sli: sliOf({ good, bad: present }) ?? 1,
            burn: burnRateOf(aim, { good, bad: present }) ?? 0,
          };
        });
        if (before === undefined || after === undefined) throw new Error('two were made');
        expect(after.sli).toBeLessThanOrEqual(before.sli);
        expect(after.leftEvents).toBeLessThanOrEqual(before.leftEvents);
        expect(after.leftShare).toBeLessThanOrEqual(before.leftShare);
        expect(after.burn).toBeGreaterThanOrEqual(before.burn);
      }),
    );
  });

  test('one more bad event just now brings the end no further away, by the same window', () => {
    fc.assert(
      fc.property(windows, target, (each, aim) => {
        const objective = { target: aim, severity: 'page' } as const;
        const before = stateOf(objective, each).exhaustion;
        const after = stateOf(
          objective,
          each.map((part) => addCounts([part, counted(0, 1)])),
        ).exhaustion;
        const sameWindow = before.state !== 'burning' || after.state !== 'burning' || before.window === after.window;
        fc.pre(sameWindow);
        expect(hoursLeft(after)).toBeLessThanOrEqual(hoursLeft(before));
      }),
    );
  });

  test('the budget is spent just where the target is missed or met to the event', () => {
    fc.assert(
      fc.property(counts, target, ({ good, bad }, aim) => {
        fc.pre(good + bad > 0);
        const left = budgetOf(aim, { good, bad })?.leftEvents ?? Number.NaN;
        // Whole numbers decide: a share of so many millionths of so many events.
        const allowed = BigInt(good + bad) * BigInt(Math.round((1 - aim) * 1_000_000));
        const spent = BigInt(bad) * 1_000_000n;
        expect(Math.sign(left)).toBe(allowed > spent ? 1 : allowed < spent ? -1 : 0);
      }),
    );
  });
});
