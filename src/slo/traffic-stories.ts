/** Little traffic, none at all, and outages: what the objectives' rules make of them. */
import type { Objective } from '../domain/objectives.ts';
import { alertsOf, countersOf } from './budget-stories.ts';
import { fired, firing, type PromtoolTest, query, rising, type TestFile } from './promtool.ts';
import { recorded } from './queries.ts';

const BUDGETS = '.+(BudgetBurn|NothingGood)';
const STEP = 5;

/** So many samples, five minutes apart, each with so many good and so many bad events more than the one before. */
type Part = readonly [samples: number, good: number, bad: number];

/** At most so many alerts for so many bad events, and each of them with its numbers. */
export function trafficTests(objectives: readonly Objective[]): readonly TestFile[] {
  const tests = [
    ...[1, 2, 3].map((bad) => littleTraffic(objectives, bad)),
    nothingGood(objectives, 0, 3),
    nothingGood(objectives, 0, 2),
    nothingGood(objectives, 1, 3),
    outage(objectives),
    idle(objectives),
  ];
  return [{ name: 'traffic', evaluationInterval: `${STEP}m`, tests }];
}

/** One event in ten minutes, and the last few of them bad. */
function littleTraffic(objectives: readonly Objective[], bad: number): PromtoolTest {
  const parts = [1, 2, 3, 4, 5, 6].flatMap((number): readonly Part[] => [
    [1, 0, 0],
    number > 6 - bad ? [1, 0, 1] : [1, 1, 0],
  ]);
  const expected = { 1: 'nobody is told', 2: 'a ticket, and no page', 3: 'a page' }[bad] ?? '';
  return {
    name: `one event in ten minutes, and ${bad} of 6 bad: ${expected}`,
    ...inputOf(objectives, [...parts, [7, 0, 0]]),
    promql_expr_test: [
      firing(60, BUDGETS, bad >= 3 ? alertsOf(objectives, 'BudgetBurn', 'page') : [], 'page'),
      firing(60, BUDGETS, bad >= 2 ? alertsOf(objectives, 'BudgetBurn', 'ticket') : [], 'ticket'),
      firing(95, BUDGETS, [], 'page'),
    ],
    alert_rule_test: [],
  };
}

/** After an hour of so many good events that a few bad ones burn next to nothing. */
function nothingGood(objectives: readonly Objective[], good: number, bad: number): PromtoolTest {
  const fires = good === 0 && bad >= 3;
  const rules = fires ? alertsOf(objectives, 'NothingGood', 'page') : [];
  return {
    name: `after much that was good, ${bad} bad events and ${good} good ones in ten minutes: ${fires ? 'a page, until one is good' : 'no page'}`,
    ...inputOf(objectives, [
      [12, 10_000, 0],
      [2, good / 2, bad / 2],
      [1, 1, 0],
    ]),
    promql_expr_test: [firing(60, BUDGETS, []), firing(70, BUDGETS, rules), firing(75, BUDGETS, [])],
    alert_rule_test: rules.map((rule) => fired(70, rule.alert, [[rule, { shown: [String(bad)] }]])),
  };
}

function outage(objectives: readonly Objective[]): PromtoolTest {
  const pages = alertsOf(objectives, 'BudgetBurn', 'page');
  const tickets = alertsOf(objectives, 'BudgetBurn', 'ticket');
  const dead = alertsOf(objectives, 'NothingGood', 'page');
  const told = [...new Set([...tickets, ...dead].map(({ alert }) => alert))];
  // 10 minutes of the hour, and of the 370 that there are.
  const shown = { page: '16.67%', ticket: '2.703%', none: '' };
  const all = [...pages, ...tickets].map((rule) => [rule, { shown: [shown[rule.labels.severity]] }] as const);
  return {
    name: 'ten minutes in which nothing is good, after six hours in which all was: pages and tickets, the pages until it is over',
    ...inputOf(objectives, [
      [72, 500, 0],
      [2, 0, 500],
      [7, 500, 0],
    ]),
    promql_expr_test: [
      firing(360, BUDGETS, []),
      firing(405, BUDGETS, [], 'page'),
      firing(405, BUDGETS, tickets, 'ticket'),
    ],
    alert_rule_test: told.map((name) =>
      fired(370, name, [
        ...all.filter(([{ alert }]) => alert === name),
        ...dead.filter(({ alert }) => alert === name).map((rule) => [rule, { shown: ['1k'] }] as const),
      ]),
    ),
  };
}

/** Some traffic, then hours without any, then some. */
function idle(objectives: readonly Objective[]): PromtoolTest {
  const burning = (at: number): PromtoolTest['promql_expr_test'] => [
    query(at, recorded.errorRatio('1h'), []),
    query(at, recorded.burnRate('1h'), []),
    query(at, `count(${recorded.badIncrease('1h')} == 0)`, [[{}, objectives.length]]),
  ];
  return {
    name: 'hours without any event: no ratio, neither 0 nor NaN, and no alert; it is measured that there were none',
    ...inputOf(objectives, [
      [6, 10, 0],
      [36, 0, 0],
      [1, 10, 0],
    ]),
    promql_expr_test: [
      ...burning(120),
      ...burning(210),
      query(215, `count(${recorded.errorRatio('1h')} == 0)`, [[{}, objectives.length]]),
      firing(60, `${BUDGETS}|Sli.+`, []),
      firing(210, `${BUDGETS}|Sli.+`, []),
      firing(215, `${BUDGETS}|Sli.+`, []),
    ],
    alert_rule_test: [],
  };
}

function inputOf(objectives: readonly Objective[], parts: readonly Part[]) {
  return {
    interval: `${STEP}m`,
    input_series: objectives.flatMap((objective) => {
      const { good, events } = countersOf(objective);
      return [
        { series: good, values: rising(parts.map(([samples, rise]) => [rise, samples])) },
        { series: events, values: rising(parts.map(([samples, rise, bad]) => [rise + bad, samples])) },
      ];
    }),
  };
}
