/**
 * How fast a budget may be spent before somebody is told, as data. From Google's SRE workbook, chapter 5, "Multiwindow,
 * multi-burn-rate alerts" (https://sre.google/workbook/alerting-on-slos/), which is for budgets of 30 days.
 */

/** Of the budget that these burn rates are for. */
export const BUDGET_DAYS = 30;

export const windowSeconds = {
  '5m': 5 * 60,
  '10m': 10 * 60,
  '30m': 30 * 60,
  '1h': 3_600,
  '2h': 2 * 3_600,
  '6h': 6 * 3_600,
  '1d': 24 * 3_600,
  '3d': 3 * 24 * 3_600,
  '30d': BUDGET_DAYS * 24 * 3_600,
} as const;
export type WindowName = keyof typeof windowSeconds;

export interface BurnRate {
  readonly severity: 'page' | 'ticket';
  /** Says that enough was burnt to matter. */
  readonly long: WindowName;
  /** Says that it still burns, so that the alert ends soon after the trouble does. */
  readonly short: WindowName;
  /** How many times as fast as a budget that lasts for just the 30 days. */
  readonly factor: number;
}

/** Burnt by then, of 30 days' budget: 2 %, 5 %, 10 %, 10 %. */
export const burnRates: readonly BurnRate[] = [
  { severity: 'page', long: '1h', short: '5m', factor: 14.4 },
  { severity: 'page', long: '6h', short: '30m', factor: 6 },
  { severity: 'ticket', long: '1d', short: '2h', factor: 3 },
  { severity: 'ticket', long: '3d', short: '6h', factor: 1 },
];

/**
 * Bad events in the long window must be more than this. At low traffic a single bad event is a high rate: the third one
 * wakes somebody up, the second makes a ticket.
 */
export const fewestBad: Readonly<Record<BurnRate['severity'], number>> = { page: 2.5, ticket: 1.5 };

/** What the guard above would hide: nothing succeeds, and there is too little traffic for three failures an hour to burn. */
export const nothingGood = { window: '10m', events: 3 } as const satisfies { window: WindowName; events: number };
