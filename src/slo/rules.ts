import type { Objective } from '../domain/objectives.ts';
import { metrics } from '../telemetry/metric-names.ts';
import { type Pace, recorded, riseOf, scrapeJobs, select, sumOfIncreases, worst } from './queries.ts';
import { BUDGET_DAYS, type WindowName } from './windows.ts';

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface RuleGroup<Rule> {
  readonly name: string;
  /** How often, as a duration of Prometheus. */
  readonly interval: string;
  /** One after the other: each sees what those before it made. */
  readonly rules: readonly Rule[];
}

const quick: readonly WindowName[] = ['5m', '10m', '30m', '1h', '2h', '6h'];
const slow: readonly WindowName[] = ['1d', '3d', '30d'];

/** A process that misses a scrape or two, lags or leaves must not look like a counter that fell. */
const SMOOTHED_SECONDS = 120;

/** Every 15 seconds; while time is compressed, every second. */
export function everyOf(seconds: number, { scale }: Pace): string {
  return scale === 1 ? `${seconds}s` : '1s';
}

/**
 * What is recorded of the objectives. Only sums are ever divided, never are ratios averaged: an hour of two events weighs
 * as much as two events. Long windows are worked out every two minutes, from what is recorded.
 */
export function recordingRules(objectives: readonly Objective[], pace: Pace): readonly RuleGroup<RecordingRule>[] {
  return [
    {
      name: 'evenkeel-objectives',
      interval: everyOf(15, pace),
      rules: [
        ...objectives.flatMap(constants),
        ...sums(objectives, pace),
        ...quick.flatMap((window) => ofWindow(window, objectives, pace)),
        { record: recorded.deadLetters, expr: worst('deadLetters') },
        { record: recorded.storeBytes, expr: worst('storeBytes') },
      ],
    },
    {
      name: 'evenkeel-objectives-long',
      interval: everyOf(120, pace),
      rules: [
        ...slow.flatMap((window) => ofWindow(window, objectives, pace)),
        { record: recorded.budgetLeft, expr: `1 - ${recorded.burnRate(`${BUDGET_DAYS}d`)}` },
      ],
    },
  ];
}

function constants({ name, target }: Objective): RecordingRule[] {
  const labels = { slo: name };
  return [
    { record: recorded.objective, expr: `vector(${target})`, labels },
    { record: recorded.errorBudget, expr: `vector(${budgetOf(target)})`, labels },
  ];
}

/** Of 0.999 it is 0.001, and not what binary fractions make of it. */
export function budgetOf(target: number): number {
  return Number((1 - target).toFixed(9));
}

function sums(objectives: readonly Objective[], pace: Pace): RecordingRule[] {
  // At least a few scrapes, however compressed.
  const smoothed = pace.of(Math.max(SMOOTHED_SECONDS, 8 * pace.scale));
  const judged = objectives.filter(({ source }) => source === 'records').map(({ name }) => name);
  const freshest = (counter: string): string =>
    `max by (slo) (max_over_time(${counter}{slo=~"${judged.join('|')}"}[${smoothed}]))`;
  const [api] = scrapeJobs;
  const ofProcess = (counter: string): string => `max by (instance) (${select(counter, { job: api })})`;
  return [
    { record: recorded.good, expr: freshest(metrics.sloGood.name) },
    { record: recorded.events, expr: freshest(metrics.sloEvents.name) },
    { record: recorded.goodRequests, expr: ofProcess(metrics.apiGood.name) },
    { record: recorded.requests, expr: ofProcess(metrics.apiRequests.name) },
  ];
}

function ofWindow(window: WindowName, objectives: readonly Objective[], pace: Pace): RecordingRule[] {
  const good = recorded.goodIncrease(window);
  const events = recorded.eventsIncrease(window);
  const bad = recorded.badIncrease(window);
  const ratio = recorded.errorRatio(window);
  const counted = objectives.filter(({ source }) => source === 'process');
  return [
    { record: good, expr: riseOf(recorded.good, window, pace) },
    { record: events, expr: riseOf(recorded.events, window, pace) },
    ...counted.flatMap(({ name }) => [
      { record: good, expr: sumOfIncreases(recorded.goodRequests, window, pace), labels: { slo: name } },
      { record: events, expr: sumOfIncreases(recorded.requests, window, pace), labels: { slo: name } },
    ]),
    { record: bad, expr: `clamp_min(${events} - ${good}, 0)` },
    { record: ratio, expr: `${bad} / (${events} > 0)` },
    { record: recorded.burnRate(window), expr: `${ratio} / on (slo) ${recorded.errorBudget}` },
  ];
}
