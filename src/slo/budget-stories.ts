/** Traffic that burns budgets, just fast enough and just not. */
import type { Objective } from '../domain/objectives.ts';
import type { AlertRule } from './alert-rule.ts';
import { budgetAlerts } from './burn-alerts.ts';
import { firing, type PromtoolTest, rising, seriesOf, type TestFile } from './promtool.ts';
import { budgetOf } from './rules.ts';
import { type BurnRate, burnRates, windowSeconds } from './windows.ts';

/** So many minutes of so many events each, of which a share was bad: how many times what the objective allows. */
interface Traffic {
  readonly minutes: number;
  readonly perMinute: number;
  readonly burnRate: number;
}

const BURNS = '.+BudgetBurn';

/**
 * Each pair of windows by itself: the other pairs see too little, or too few of too many. A sample each five minutes, or
 * two in the shorter window: days of minutes would take long and tell no more.
 */
export function budgetTests(objectives: readonly Objective[]): readonly TestFile[] {
  return burnRates.map((pair) => {
    const step = Math.max(5, windowSeconds[pair.short] / 120);
    return {
      name: `budgets-${pair.long}`,
      evaluationInterval: `${step}m`,
      tests: [burning(objectives, pair, step, 1.1), burning(objectives, pair, step, 0.9)],
    };
  });
}

function burning(objectives: readonly Objective[], pair: BurnRate, step: number, times: number): PromtoolTest {
  const { severity, long, short, factor } = pair;
  const fires = times > 1;
  const [minutes, calm] = [windowSeconds[long] / 60, windowSeconds[short] / 60 + 2 * step];
  const longest = Math.max(
    ...burnRates.filter((other) => other.severity === severity).map((other) => windowSeconds[other.long] / 60),
  );
  // So many good events in the longer windows before that what follows does not show there.
  const before = longest > minutes ? [{ minutes: longest - minutes, perMinute: 10_000, burnRate: 0 }] : [];
  const traffic = [
    ...before,
    { minutes, perMinute: 100, burnRate: times * factor },
    { minutes: calm, perMinute: 100, burnRate: 0 },
  ];
  const began = longest - minutes;
  const rules = alertsOf(objectives, 'BudgetBurn', severity);
  return {
    name: `${long}/${short}, burning ${Number((times * factor).toFixed(2))} times as fast as allowed: ${fires ? `makes a ${severity}, and ends` : `no ${severity}`}`,
    interval: `${step}m`,
    input_series: objectives.flatMap((objective) => trafficOf(objective, traffic, step)),
    promql_expr_test: [
      ...(began > 0 ? [firing(began, BURNS, [], severity)] : []),
      firing(longest, BURNS, fires ? rules : [], severity),
      firing(longest + calm, BURNS, [], severity),
    ],
    alert_rule_test: [],
  };
}

/** The alerts on the objectives' budgets whose names end so. */
export function alertsOf(
  objectives: readonly Objective[],
  suffix: 'BudgetBurn' | 'NothingGood',
  severity: BurnRate['severity'],
): readonly AlertRule[] {
  return objectives
    .flatMap(budgetAlerts)
    .filter(({ alert, labels }) => alert.endsWith(suffix) && labels.severity === severity);
}

/** Good ones and all, as one process of the API exports them. */
export function countersOf(
  { name, source }: Objective,
  instance = 'api-1',
): { readonly good: string; readonly events: string } {
  if (source === 'process')
    return { good: seriesOf('apiGood', {}, instance), events: seriesOf('apiRequests', {}, instance) };
  const labels = { slo: name };
  return { good: seriesOf('sloGood', labels, instance), events: seriesOf('sloEvents', labels, instance) };
}

function trafficOf(objective: Objective, traffic: readonly Traffic[], step: number) {
  const { good, events } = countersOf(objective);
  const allowed = budgetOf(objective.target);
  const rises = (share: (part: Traffic) => number): string =>
    rising(traffic.map((part) => [part.perMinute * step * share(part), part.minutes / step]));
  return [
    { series: events, values: rises(() => 1) },
    { series: good, values: rises(({ burnRate }) => 1 - burnRate * allowed) },
  ];
}
