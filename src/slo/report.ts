import type { Objective, SloCounts, SloName } from '../domain/objectives.ts';
import type { SloDay } from '../domain/slo-ports.ts';
import { addCounts, type Budget, budgetOf, sliOf } from './budget.ts';
import { type Commitment, creditFor, type Sla } from './sla.ts';

/** How one objective did over a calendar month. */
export interface MonthOfObjective {
  readonly slo: SloName;
  readonly counts: SloCounts;
  /** Undefined without events. */
  readonly sli: number | undefined;
  /** Undefined without events. */
  readonly met: boolean | undefined;
  readonly budget: Budget | undefined;
  /** Those with bad events, the most of them first. */
  readonly worstDays: readonly DayOfObjective[];
  /** Undefined where nothing is promised. */
  readonly sla: Attainment | undefined;
}

export interface DayOfObjective extends SloCounts {
  readonly day: string;
  /** Of the month's budget: 0.5 is half of it on this one day. */
  readonly budgetShare: number;
}

export interface Attainment {
  readonly target: number;
  /** Undefined without events. */
  readonly met: boolean | undefined;
  /** Percent of the month's fee, before what the agreement excludes in words. */
  readonly creditPercent: number;
}

const worst = 5;

/** Sums a month up, each objective by its events: a day without traffic weighs nothing. In the order of `objectives`. */
export function monthOf(
  objectives: readonly Objective[],
  { commitments }: Sla,
  days: readonly SloDay[],
): readonly MonthOfObjective[] {
  return objectives.map(({ name, target }) => {
    const own = days.filter(({ slo }) => slo === name);
    const counts = addCounts(own);
    const sli = sliOf(counts);
    const budget = budgetOf(target, counts);
    const commitment = commitments.find(({ slo }) => slo === name);
    return {
      slo: name,
      counts,
      sli,
      met: budget === undefined ? undefined : budget.leftEvents >= 0,
      budget,
      worstDays: worstDaysOf(own, budget),
      sla: commitment && attainmentOf(commitment, sli),
    };
  });
}

function worstDaysOf(days: readonly SloDay[], budget: Budget | undefined): readonly DayOfObjective[] {
  if (budget === undefined) return [];
  return days
    .filter(({ bad }) => bad > 0)
    .toSorted((one, other) => other.bad - one.bad || (one.day < other.day ? -1 : 1))
    .slice(0, worst)
    .map(({ day, good, bad, excluded }) => ({ day, good, bad, excluded, budgetShare: bad / budget.allowedEvents }));
}

function attainmentOf(commitment: Commitment, sli: number | undefined): Attainment {
  const { target } = commitment;
  if (sli === undefined) return { target, met: undefined, creditPercent: 0 };
  return { target, met: sli >= target, creditPercent: creditFor(commitment, sli) };
}
