import type { Objective } from '../domain/objectives.ts';
import type { AlertRule } from './alert-rule.ts';
import { recorded, select } from './queries.ts';
import { budgetOf } from './rules.ts';
import { percent } from './words.ts';
import { BUDGET_DAYS, type BurnRate, burnRates, fewestBad, nothingGood, windowSeconds } from './windows.ts';

/** `delivery-end-to-end` in the names of its alerts: `DeliveryEndToEnd`. */
export function inAlertNames(slo: string): string {
  return slo.replaceAll(/(?:^|-)(\w)/g, (_, first: string) => first.toUpperCase());
}

/**
 * The alerts on an objective's budget. Throws `RangeError` for an objective that they would not fit: a window other than
 * 30 days, or a target so low that even a total outage burns too slowly to be seen.
 */
export function budgetAlerts(objective: Objective): readonly AlertRule[] {
  const severities = objective.severity === 'page' ? (['page', 'ticket'] as const) : (['ticket'] as const);
  const pages = objective.severity === 'page' ? [nothingGoodAlert(objective)] : [];
  return [...severities.map((severity) => burnAlert(objective, severity)), ...pages];
}

function burnAlert(objective: Objective, severity: BurnRate['severity']): AlertRule {
  const { name, title, target, windowDays } = objective;
  if (windowDays !== BUDGET_DAYS)
    throw new RangeError(`${name}: burn rates are for a window of ${BUDGET_DAYS} days, not ${windowDays}`);
  const pairs = burnRates.filter((pair) => pair.severity === severity);
  return {
    alert: `${inAlertNames(name)}BudgetBurn`,
    expr: pairs.map((pair) => `(${burning(objective, pair)})`).join('\nor\n'),
    labels: { severity, slo: name },
    summary: `${title}: the error budget burns ${severity === 'page' ? 'fast' : 'steadily'}`,
    description:
      `{{ $value | humanizePercentage }} of events were bad, over the last ${pairs.map(({ long }) => long).join(' or ')}; ` +
      `the objective is ${percent(target)} good ones over ${windowDays} days. ` +
      (severity === 'page' ? 'At this pace the budget is gone within days.' : 'At this pace the budget will not last.'),
  };
}

function burning({ name, target }: Objective, { long, short, factor, severity }: BurnRate): string {
  const limit = Number((factor * budgetOf(target)).toFixed(9));
  if (limit >= 1)
    throw new RangeError(
      `${name}: with a target of ${percent(target)} nothing can burn ${factor} times as fast as it may; ` +
        `take one above ${percent(1 - 1 / factor)}`,
    );
  const labels = { slo: name };
  return [
    `${select(recorded.errorRatio(long), labels)} > ${limit}`,
    `and ${select(recorded.errorRatio(short), labels)} > ${limit}`,
    `and ${select(recorded.badIncrease(long), labels)} > ${fewestBad[severity]}`,
  ].join('\n  ');
}

function nothingGoodAlert({ name, title }: Objective): AlertRule {
  const { window, events } = nothingGood;
  const minutes = windowSeconds[window] / 60;
  const labels = { slo: name };
  return {
    alert: `${inAlertNames(name)}NothingGood`,
    // Counted requests come in fractions, where Prometheus extrapolates.
    expr: [
      `${select(recorded.eventsIncrease(window), labels)} > ${events - 0.5}`,
      `and ${select(recorded.goodIncrease(window), labels)} < 0.5`,
    ].join('\n'),
    labels: { severity: 'page', slo: name },
    summary: `${title}: nothing succeeds`,
    description: `Of {{ $value | humanize }} events within the last ${minutes} minutes not one was good.`,
  };
}
