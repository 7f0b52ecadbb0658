import { metrics } from '../telemetry/metric-names.ts';
import { BUDGET_DAYS, type WindowName, windowSeconds } from './windows.ts';

/** Every series that the recording rules make, by what it is. Named level:metric:operations, as Prometheus recommends. */
export const recorded = {
  /** Of what is judged from records, since ever: the freshest that any process exports. */
  good: 'evenkeel:slo_good_events:max',
  events: 'evenkeel:slo_events:max',
  /** Of the API's requests, by the process that counted them. */
  goodRequests: 'evenkeel:api_good_requests:instance',
  requests: 'evenkeel:api_requests:instance',
  /** Labelled by `slo` only, all that follow. */
  goodIncrease: (window: WindowName) => `evenkeel:slo_good_events:increase${window}`,
  eventsIncrease: (window: WindowName) => `evenkeel:slo_events:increase${window}`,
  badIncrease: (window: WindowName) => `evenkeel:slo_bad_events:increase${window}`,
  /** From 0 to 1. There is none where there were no events: neither 0 nor NaN. */
  errorRatio: (window: WindowName) => `evenkeel:slo_error_ratio:${window}`,
  /** 1 spends the budget of 30 days in 30 days. */
  burnRate: (window: WindowName) => `evenkeel:slo_burn_rate:${window}`,
  /** Share that is left of the budget; below 0 where more was spent. */
  budgetLeft: `evenkeel:slo_budget_left:${BUDGET_DAYS}d`,
  objective: 'evenkeel:slo_objective:ratio',
  errorBudget: 'evenkeel:slo_error_budget:ratio',
  deadLetters: 'evenkeel:dead_letters:max',
  storeBytes: 'evenkeel:store_size_bytes:max',
} as const;

/** The names of the scrape jobs that rules tell processes by; `ops/prometheus/prometheus.yml` has them. */
export const scrapeJobs = ['evenkeel-api', 'evenkeel-worker', 'evenkeel-sdk', 'prometheus', 'alertmanager'] as const;

/** How long the rules look back and wait: as they are, or in a hurry to prove something. */
export interface Pace {
  /** A duration as Prometheus writes it, compressed: of 120 it is `2m`, at 60 times the pace `2s`. */
  readonly of: (seconds: number, moreMs?: number) => string;
  readonly scale: number;
}

/** Compresses time by `scale`, from 1 to 60. Throws `RangeError` for any other. */
export function paceOf(scale = 1): Pace {
  if (!(scale >= 1 && scale <= 60)) throw new RangeError(`time can be compressed 1 to 60 times, not ${scale} times`);
  return { scale, of: (seconds, moreMs = 0) => duration(Math.round((seconds * 1_000) / scale) + moreMs) };
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

/** Milliseconds as Prometheus writes them: 5400000 is `1h30m`. */
export function duration(ms: number): string {
  let rest = ms;
  const parts = units.map(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    return count === 0 ? '' : `${count}${unit}`;
  });
  return parts.join('') || '0s';
}

/** The selector of a metric's series: `name{label="value"}`. */
export function select(metric: string, labels: Readonly<Record<string, string>> = {}): string {
  const matchers = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return matchers.length === 0 ? metric : `${metric}{${matchers.join(', ')}}`;
}

/**
 * By how much a recorded sum of records rose within a window. Records never fall, so the difference to what was recorded
 * at its beginning is exact; `increase` would extrapolate, and would take a database that was restored from a backup for
 * a counter that began again at zero, and all that was ever counted for new. Where there are fewer events now than there
 * were then, or nothing was recorded, it is the difference to the least within the window. Whether that is so is told by
 * all events, for good ones too: told by each for itself, good ones that a restore lost would look like bad ones.
 */
export function riseOf(recordedSum: string, window: WindowName, pace: Pace): string {
  const length = pace.of(windowSeconds[window]);
  const risen = `(${recorded.events} - ${recorded.events} offset ${length} >= 0)`;
  const since = `clamp_min(${recordedSum} - ${recordedSum} offset ${length}, 0)`;
  return `(${since} and ${risen}) or (${recordedSum} - min_over_time(${recordedSum}[${length}]))`;
}

/**
 * By how much what processes counted rose within a window, whichever of them were restarted, came or left meanwhile. A
 * range that is a millisecond longer takes in the sample at its very beginning, in every version of Prometheus: rules are
 * evaluated at regular moments, so that next to nothing is extrapolated.
 */
export function sumOfIncreases(byProcess: string, window: WindowName, pace: Pace): string {
  return `sum(increase(${byProcess}[${pace.of(windowSeconds[window], 1)}]))`;
}

/** The worst that any process says of what all of them read from the same records. */
export function worst(key: keyof typeof metrics, labels: Readonly<Record<string, string>> = {}, by?: string): string {
  return over('max', select(metrics[key].name, labels), by);
}

/** The least that any process says, where less is worse. */
export function least(key: keyof typeof metrics, by?: string): string {
  return over('min', metrics[key].name, by);
}

function over(operator: 'max' | 'min', series: string, by: string | undefined): string {
  return `${operator}${by === undefined ? '' : ` by (${by}) `}(${series})`;
}
