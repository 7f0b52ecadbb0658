import type { Objective, SloCounts } from '../domain/objectives.ts';
import { BUDGET_DAYS, burnRates, fewestBad, type WindowName, windowSeconds } from './windows.ts';

/**
 * What is left of an error budget, and how fast it goes. All of it is counted in events, never as an average of ratios: a
 * quiet night with one bad order of two weighs as much as it should, which is one order.
 */

/** The windows that are looked at: those of the alerts, and the objectives' own at the end. */
export const budgetWindows = [
  '5m',
  '30m',
  '1h',
  '2h',
  '6h',
  '1d',
  '3d',
  '30d',
] as const satisfies readonly WindowName[];
export type BudgetWindow = (typeof budgetWindows)[number];

/** Their lengths, in milliseconds, as `SloRecords.windows` is asked for them. */
export const budgetWindowsMs: readonly number[] = budgetWindows.map((window) => windowSeconds[window] * 1_000);

/** One window: what happened, and how many times as fast as can be afforded the budget went. */
export interface WindowBurn extends SloCounts {
  readonly window: BudgetWindow;
  /** Good and bad ones; what is excluded does not count. */
  readonly events: number;
  /** The share of good events. Undefined without any: nothing was met, nothing was missed. */
  readonly sli: number | undefined;
  /** 1 spends the budget of 30 days in 30 days. Undefined without events. */
  readonly burnRate: number | undefined;
}

export interface Budget {
  /** Bad events that the objective allows, given as many events as there were; not a whole number. */
  readonly allowedEvents: number;
  readonly badEvents: number;
  /** Below 0 once there were more than allowed. */
  readonly leftEvents: number;
  /** `leftEvents` of `allowedEvents`: 1 is untouched, 0 is spent, -1 is spent twice. */
  readonly leftShare: number;
}

export type Exhaustion =
  /** No event in the objective's window: there is no budget to speak of. */
  | { readonly state: 'not_enough_data' }
  | { readonly state: 'exhausted' }
  /** At the rate of `window`, the budget is spent in so many hours, before it is renewed. */
  | { readonly state: 'burning'; readonly hours: number; readonly window: BudgetWindow }
  /** At the present rate the budget outlasts the objective's window, in which all of it is renewed. */
  | { readonly state: 'not_burning' };

export type Alarm = 'page' | 'ticket' | 'none';

export interface BudgetState {
  /** In the order of `budgetWindows`. */
  readonly windows: readonly WindowBurn[];
  /** Of the objective's own window, which is the last. */
  readonly sli: number | undefined;
  readonly budget: Budget | undefined;
  /** What the rules of the alerts would make of these counts; whether anybody is told is up to a Prometheus. */
  readonly alarm: Alarm;
  readonly exhaustion: Exhaustion;
}

const millionths = 1_000_000;

/**
 * What a target allows to be bad, in millionths: 0.999 is 1,000. Whole, so that what is exactly on target is exactly that;
 * 1 - 0.999 is a little over 0.001. Throws RangeError for a target with no budget, which no file can have.
 */
function allowedMillionths(target: number): number {
  const allowed = Math.round((1 - target) * millionths);
  if (allowed >= 1 && allowed < millionths) return allowed;
  throw new RangeError(`a target of ${target} leaves no budget to count; it lies in (0, 1) with six decimals at most`);
}

/** The sum of windows that do not overlap. */
export function addCounts(parts: readonly SloCounts[]): SloCounts {
  return parts.reduce<SloCounts>(
    (sum, { good, bad, excluded }) => ({
      good: sum.good + good,
      bad: sum.bad + bad,
      excluded: sum.excluded + excluded,
    }),
    { good: 0, bad: 0, excluded: 0 },
  );
}

/** The share of good events; undefined without events. */
export function sliOf({ good, bad }: Pick<SloCounts, 'good' | 'bad'>): number | undefined {
  return good + bad === 0 ? undefined : good / (good + bad);
}

/** What `counts` leave of a target's budget; undefined without events. */
export function budgetOf(target: number, { good, bad }: Pick<SloCounts, 'good' | 'bad'>): Budget | undefined {
  if (good + bad === 0) return undefined;
  const allowed = (good + bad) * allowedMillionths(target);
  const left = allowed - bad * millionths;
  return {
    allowedEvents: allowed / millionths,
    badEvents: bad,
    leftEvents: left / millionths,
    leftShare: left / allowed,
  };
}

/** How many times as fast as can be afforded the budget goes; undefined without events. */
export function burnRateOf(target: number, { good, bad }: Pick<SloCounts, 'good' | 'bad'>): number | undefined {
  if (good + bad === 0) return undefined;
  return (bad * millionths) / ((good + bad) * allowedMillionths(target));
}

/** Everything about one objective, from the counts of its windows: one for each of `budgetWindows`, in that order. */
export function stateOf(
  { target, severity }: Pick<Objective, 'target' | 'severity'>,
  counts: readonly SloCounts[],
): BudgetState {
  if (counts.length !== budgetWindows.length) throw new RangeError(`${counts.length} windows, not those of the budget`);
  const windows = budgetWindows.map((window, at): WindowBurn => {
    const { good, bad, excluded } = counts[at] ?? addCounts([]);
    const burnRate = burnRateOf(target, { good, bad });
    return { window, good, bad, excluded, events: good + bad, sli: sliOf({ good, bad }), burnRate };
  });
  const whole = windows.at(-1) ?? addCounts([]);
  const budget = budgetOf(target, whole);
  return {
    windows,
    sli: sliOf(whole),
    budget,
    alarm: alarmOf(severity, windows),
    exhaustion: exhaustionOf(budget, windows),
  };
}

function hoursOf(window: BudgetWindow): number {
  return windowSeconds[window] / 3_600;
}

/** By the rules of the alerts: too fast over the long window and still over the short one, and no matter of one event. */
function alarmOf(severity: Objective['severity'], windows: readonly WindowBurn[]): Alarm {
  const over = (name: WindowName, factor: number): boolean =>
    windows.some(({ window, burnRate }) => window === name && burnRate !== undefined && burnRate > factor);
  const enough = (name: WindowName, fewest: number): boolean =>
    windows.some(({ window, bad }) => window === name && bad > fewest);
  const burning = burnRates.filter(
    ({ severity: told, long, short, factor }) =>
      over(long, factor) && over(short, factor) && enough(long, fewestBad[told]),
  );
  const told = new Set(burning.map((rate) => rate.severity));
  if (severity === 'page' && told.has('page')) return 'page';
  return told.has('ticket') ? 'ticket' : 'none';
}

/**
 * The present rate is that of the shortest window, of an hour or more, with enough bad events to speak of a rate. What
 * falls out of the objective's window meanwhile is left out of account: the budget lasts at least so long.
 */
function exhaustionOf(budget: Budget | undefined, windows: readonly WindowBurn[]): Exhaustion {
  if (budget === undefined) return { state: 'not_enough_data' };
  if (budget.leftEvents <= 0) return { state: 'exhausted' };
  const present = windows.find(({ window, bad }) => hoursOf(window) >= 1 && bad > fewestBad.ticket);
  if (present === undefined) return { state: 'not_burning' };
  const hours = (budget.leftEvents * hoursOf(present.window)) / present.bad;
  return hours < BUDGET_DAYS * 24 ? { state: 'burning', hours, window: present.window } : { state: 'not_burning' };
}
