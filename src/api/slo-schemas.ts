import { z } from 'zod';
import { type Objective, sloNames } from '../domain/objectives.ts';
import type { ConsumerSli, SloTotal } from '../domain/slo-ports.ts';
import { type Budget, type BudgetState, budgetWindows, type Exhaustion, sliOf } from '../slo/budget.ts';
import type { MonthOfObjective } from '../slo/report.ts';
import { instant, named } from './schemas.ts';

const count = z.int().min(0);
const share = z.number().min(0).max(1);
const counts = {
  good: count,
  bad: count,
  excluded: count.describe('Events that do not count, such as those of a paused consumer'),
};
const sli = share.nullable().describe('The share of good events among good and bad ones; null without any');

const budget = z
  .object({
    allowedEvents: z.number().min(0).describe('Bad ones that the target allows of so many events; not a whole number'),
    badEvents: count,
    leftEvents: z.number().describe('Below 0 once there were more than that'),
    leftShare: z.number().max(1).describe('Of what is allowed: 1 is untouched, 0 is spent, -1 is spent twice'),
  })
  .nullable()
  .describe('Null without events');

const sloShape = {
  name: z.enum(sloNames),
  title: z.string(),
  description: z.string().describe('What is counted, what is good, what is excluded'),
  target: share.describe('The share of events that is to be good'),
  windowDays: z.int(),
  thresholdMs: z.int().nullable().describe('How long an event may take; null where its status decides'),
  severity: z.enum(['page', 'ticket']).describe('What spending the budget too fast leads to'),
  source: z.enum(['records', 'process']),
  sli: sli.describe('Over `windowDays`; null without events'),
  reason: z.enum(['not_enough_data']).nullable().describe('Why there is no `sli`'),
  budget,
  windows: z
    .array(
      z.object({
        window: z.enum(budgetWindows),
        ...counts,
        sli,
        burnRate: z.number().min(0).nullable().describe('1 spends the budget in `windowDays`; null without events'),
      }),
    )
    .describe('Shortest first. The minute that is running is part of each'),
  alarm: z
    .enum(['page', 'ticket', 'none'])
    .describe("What the alerts' rules make of these windows; it is Prometheus that tells anybody"),
  exhaustion: z
    .object({
      state: z
        .enum(['not_enough_data', 'exhausted', 'burning', 'not_burning'])
        .describe('`not_burning`: at the present rate the budget outlasts `windowDays`'),
      hours: z.number().min(0).nullable().describe('Until the budget is spent at the present rate, while `burning`'),
      window: z.enum(budgetWindows).nullable().describe('Whose rate is the present one'),
    })
    .describe('When the budget will be spent if all goes on as it does'),
  judgedUntil: instant.nullable().describe('Up to then everything is counted; null for what processes count'),
};

export const slo = z.object(sloShape);
named.add(slo, { id: 'Slo' });

export const sloList = z.object({ data: z.array(slo) });
named.add(sloList, { id: 'SloList' });

export const sloDetails = z.object({
  ...sloShape,
  consumers: z
    .array(z.object({ consumerId: z.string(), name: z.string(), ...counts, sli }))
    .optional()
    .describe(
      'Of `delivery-end-to-end` alone: how each consumer does, the worst first, at most 20. Counted from the newest 50,000 deliveries of the window, to all consumers together.',
    ),
});
named.add(sloDetails, { id: 'SloDetails' });

const met = z.boolean().nullable().describe('Null without events');

export const sloReport = z.object({
  month: z.string().describe('In UTC'),
  complete: z.boolean().describe('Whether the month is over and all of it is counted, and still kept'),
  reason: z.enum(['not_judged', 'not_kept']).nullable().describe('Why it is not complete'),
  judgedUntil: instant.nullable(),
  agreement: z.object({
    title: z.string(),
    exclusions: z.array(z.string()).describe('What a broken promise does not count for; not taken off here'),
  }),
  objectives: z.array(
    z.object({
      name: z.enum(sloNames),
      title: z.string(),
      target: share,
      ...counts,
      sli,
      met,
      budget,
      worstDays: z
        .array(
          z.object({
            day: z.iso.date(),
            ...counts,
            budgetShare: z.number().min(0).describe("Of the month's budget, on this day alone"),
          }),
        )
        .describe('Days with bad events, the most of them first, at most 5'),
      sla: z
        .object({
          target: share,
          met,
          creditPercent: z.number().min(0).max(100).describe("Of the month's fee"),
        })
        .nullable()
        .describe('Null where nothing is promised'),
    }),
  ),
});
named.add(sloReport, { id: 'SloReport' });

/** An objective as the API shows it. */
export function shownSlo(objective: Objective, state: BudgetState, total: SloTotal | undefined): z.output<typeof slo> {
  const { name, title, description, target, windowDays, thresholdMs, severity, source } = objective;
  return {
    name,
    title,
    description,
    target,
    windowDays,
    thresholdMs,
    severity,
    source,
    sli: state.sli ?? null,
    reason: state.sli === undefined ? 'not_enough_data' : null,
    budget: shownBudget(state.budget),
    windows: state.windows.map(({ window, good, bad, excluded, sli: ratio, burnRate }) => ({
      window,
      good,
      bad,
      excluded,
      sli: ratio ?? null,
      burnRate: burnRate ?? null,
    })),
    alarm: state.alarm,
    exhaustion: shownExhaustion(state.exhaustion),
    judgedUntil: total?.judgedUntil?.toISOString() ?? null,
  };
}

function shownBudget(left: Budget | undefined): z.output<typeof budget> {
  return left === undefined ? null : { ...left };
}

function shownExhaustion(exhaustion: Exhaustion): z.output<typeof slo>['exhaustion'] {
  if (exhaustion.state !== 'burning') return { state: exhaustion.state, hours: null, window: null };
  return { state: 'burning', hours: exhaustion.hours, window: exhaustion.window };
}

/** A consumer's part of an objective. */
export function shownConsumerSli({ consumerId, name, good, bad, excluded }: ConsumerSli) {
  return { consumerId, name, good, bad, excluded, sli: sliOf({ good, bad }) ?? null };
}

/** What the month's report says of one objective. */
export function shownMonth(
  { title, target }: Objective,
  month: MonthOfObjective,
): z.output<typeof sloReport>['objectives'][number] {
  return {
    name: month.slo,
    title,
    target,
    ...month.counts,
    sli: month.sli ?? null,
    met: month.met ?? null,
    budget: shownBudget(month.budget),
    worstDays: month.worstDays.map((day) => ({ ...day })),
    sla: month.sla === undefined ? null : { ...month.sla, met: month.sla.met ?? null },
  };
}
