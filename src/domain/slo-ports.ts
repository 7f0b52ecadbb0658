/** The records behind the objectives. All throw `DomainFailure` and nothing else on purpose. */
import type { JudgedSlo, SloCounts, SloName, Thresholds } from './objectives.ts';

/** What one process counted within one minute, not written before. */
export interface CountedMinute extends Omit<SloCounts, 'excluded'> {
  /** The minute's first moment. */
  readonly minute: Date;
}

export interface JudgedRound {
  /** How many events were judged in this round, for each objective. */
  readonly judged: Readonly<Record<JudgedSlo, SloCounts>>;
  /** There is more that is due: come again at once. */
  readonly more: boolean;
}

/** Of one objective: since ever, for counters that rise only. */
export interface SloTotal extends SloCounts {
  readonly slo: SloName;
  /** Up to here everything is judged, by PostgreSQL's clock; null for what processes count. */
  readonly judgedUntil: Date | null;
}

/** Of one objective, within the windows that were asked for, in their order. */
export interface SloWindows {
  readonly slo: SloName;
  readonly windows: readonly SloCounts[];
}

export interface SloRecords {
  /**
   * Judges each order, attention, event, delivery and minute of lag that came to its outcome or its deadline since the
   * round before: once, whoever calls this, in however many processes. Undefined where another process does so just now.
   */
  judge(thresholds: Thresholds): Promise<JudgedRound | undefined>;
  /** Adds what this process counted of the API's requests. A minute may come several times: they add up. */
  addRequests(minutes: readonly CountedMinute[]): Promise<void>;
  /** Every objective, in the order of `sloNames`. */
  totals(): Promise<readonly SloTotal[]>;
  /** Sums of whole minutes within the last `windowsMs`, the running one included, by PostgreSQL's clock. */
  windows(windowsMs: readonly number[]): Promise<readonly SloWindows[]>;
  /**
   * The delivery of each consumer's events within its threshold, counted from the deliveries themselves; worst first. Of
   * those within the window the newest, so that it takes about a second: 50,000 to all consumers together.
   */
  byConsumer(windowMs: number, thresholdMs: number): Promise<readonly ConsumerSli[]>;
}

export interface ConsumerSli extends SloCounts {
  readonly consumerId: string;
  readonly name: string;
}

/** Of one objective, on one day in UTC. */
export interface SloDay extends SloCounts {
  readonly slo: SloName;
  /** `2026-10-31` */
  readonly day: string;
}

export interface SloMonth {
  /** Nothing of it is removed yet, for its age. */
  readonly isWhole: boolean;
  /** Oldest first; one without any event, good, bad or excluded, is left out. */
  readonly days: readonly SloDay[];
}

export interface SloHistory {
  /** A month in UTC: `2026-10`. */
  month(month: string): Promise<SloMonth>;
}
