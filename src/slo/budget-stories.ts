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
      tests: [
        burning(objectives, pair, step, [1.1, 1.1]),
        burning(objectives, pair, step, [0.9, 1.1]),
        burning(objectives, pair, step, [1.1, 0.9]),
      ],
    };
  });
}

/** Burns just faster or just slower than the pair allows, in each of its windows. */
function burning(
  objectives: readonly Objective[],
  pair: BurnRate,
  step: number,
  [overLong, overShort]: readonly [number, number],
): PromtoolTest {
  const { severity, factor } = pair;
  const [long, short] = [windowSeconds[pair.long] / 60, windowSeconds[pair.short] / 60];
  const longest = Math.max(
    ...burnRates.filter((other) => other.severity === severity).map((other) => windowSeconds[other.long] / 60),
  );
  const [began, calm] = [longest - long, short + 2 * step];
  // What burns before the short window so that it is just as much in all of the long one.
  const earlier = (overLong * long - overShort * short) / (long - short);
  const traffic = [
    // So many good events in the longer windows before that what follows does not show there.
    ...(began > 0 ? [{ minutes: began, perMinute: 10_000, burnRate: 0 }] : []),
    { minutes: long - short, perMinute: 100, burnRate: earlier * factor },
    { minutes: short, perMinute: 100, burnRate: overShort * factor },
    { minutes: calm, perMinute: 100, burnRate: 0 },
  ];
  const fires = overLong > 1 && overShort > 1;
  const times = (over: number): string => `${Number((over * factor).toFixed(2))} times`;
  return {
    name:
      `burning ${times(overLong)} as fast as allowed over ${pair.long}, ${times(overShort)} over ${pair.short}: ` +
      (fires ? `a ${severity}, until it burns no more` : `no ${severity}`),
    interval: `${step}m`,
    input_series: objectives.flatMap((objective) => trafficOf(objective, traffic, step)),
    promql_expr_test: [
      ...(began > 0 ? [firing(began, BURNS, [], severity)] : []),
      firing(longest, BURNS, fires ? alertsOf(objectives, 'BudgetBurn', severity) : [], severity),
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
