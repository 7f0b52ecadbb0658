/** What is promised, as data. The files in `ops/slo/` (OpenSLO v1) are the source; `slo/openslo.ts` reads them. */

/** Each objective that Evenkeel knows how to measure. The names are stored and exported: they never change. */
export const sloNames = [
  'order-processing',
  'human-decision',
  'delivery-dispatch',
  'delivery-platform',
  'delivery-end-to-end',
  'api-availability',
  'consumer-lag',
] as const;
export type SloName = (typeof sloNames)[number];

/** Judged from stored records by the judge; the API's requests are no records and are counted by each process. */
export type JudgedSlo = Exclude<SloName, 'api-availability'>;

export interface Objective {
  readonly name: SloName;
  readonly title: string;
  /** What is counted, what is good, what is excluded, in words. */
  readonly description: string;
  /** The share of valid events that is to be good, in (0, 1): 0.999. */
  readonly target: number;
  readonly windowDays: number;
  /** How long an event may take, in milliseconds; null for the API, where the status decides. */
  readonly thresholdMs: number | null;
  /** Whether burning the budget wakes somebody up or makes a ticket only. */
  readonly severity: 'page' | 'ticket';
  /** `records`: counted once, by the judge, and exported alike by every API process. `process`: each counts its own. */
  readonly source: 'records' | 'process';
}

/** How many events of an objective were good, were not, and do not count. All are integers and never fall. */
export interface SloCounts {
  readonly good: number;
  readonly bad: number;
  readonly excluded: number;
}

/** From its beginning until its deadline, in milliseconds, for each that is judged from records. */
export type Thresholds = Readonly<Record<JudgedSlo, number>>;

/**
 * An order of a customer whose id begins so is processed like any other, and is no event of order-processing or
 * human-decision but an excluded one: samples, and orders that are sent to see whether all works, spend no budget.
 */
export const syntheticPrefix = 'synthetic-';
