import type { ScreeningResult } from './step-ports.ts';

export interface ScreeningRules {
  /** A total above this, in minor units of the order's currency, is looked at by a person. */
  readonly reviewAboveMinor: number;
  /** So many orders of one customer within an hour are usual; one more is looked at. */
  readonly reviewOrdersPerHour: number;
}

export interface ScreeningFacts {
  readonly totalMinor: number;
  /** Orders of the customer within the hour up to this one, this one included. */
  readonly ordersWithinHour: number;
}

/** Judges an order by the rules alone. Reasons are codes, so that a statistic can count them. */
export function judge(rules: ScreeningRules, facts: ScreeningFacts): ScreeningResult {
  if (facts.totalMinor > rules.reviewAboveMinor) return { verdict: 'review', reason: 'total_above_limit' };
  if (facts.ordersWithinHour > rules.reviewOrdersPerHour) return { verdict: 'review', reason: 'too_many_orders' };
  return { verdict: 'approve' };
}

/** Why an order waits for a person that no rule would have held up: the risk service could not be asked. */
export const SCREENING_UNAVAILABLE = 'screening_unavailable';

const strictness = { approve: 0, review: 1, reject: 2 } as const satisfies Record<ScreeningResult['verdict'], number>;

/** The stricter of two verdicts; of two that are as strict the first, so that our own rules give the reason. */
export function stricter(ours: ScreeningResult, theirs: ScreeningResult): ScreeningResult {
  return strictness[theirs.verdict] > strictness[ours.verdict] ? theirs : ours;
}
