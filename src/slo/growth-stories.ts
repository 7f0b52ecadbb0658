/** Counters that are born with their first count, and what grows: alerts that look at a change, not at a value. */
import type { Objective } from '../domain/objectives.ts';
import { alertGroups, ruleOf } from './alert-catalog.ts';
import type { AlertRule } from './alert-rule.ts';
import { fired, type PromtoolTest, rising, seriesOf, stretches, type TestFile } from './promtool.ts';
import { select } from './queries.ts';

export function growthTests(objectives: readonly Objective[]): readonly TestFile[] {
  const rules = alertGroups(objectives).flatMap(({ alerts }) => alerts);
  return [
    {
      name: 'growth',
      evaluationInterval: '5m',
      tests: [nondeterminism(rules), notifications(rules), deadLetters(rules)],
    },
    {
      name: 'store',
      evaluationInterval: '30m',
      tests: [
        storeGrowth(rules, 81, 0),
        storeGrowth(rules, 80, 0),
        storeGrowth(rules, 51, 0.6),
        storeGrowth(rules, 51, 0.4),
        storeGrowth(rules, 41, 1),
        storeWithoutLimit(rules),
      ],
    },
  ];
}

function failures(reason: string): string {
  return select('temporal_workflow_task_execution_failed_total', {
    job: 'evenkeel-sdk',
    instance: 'worker-1',
    workflow_type: 'order',
    failure_reason: reason,
  });
}

/** Born with its first failure, and repeated by a process that began again: neither has risen, as Prometheus sees it. */
function nondeterminism(rules: readonly AlertRule[]): PromtoolTest {
  const alert = 'WorkflowNondeterminism';
  const fires = [[ruleOf(rules, alert), { labels: { workflow_type: 'order' }, shown: ['order', '1'] }]] as const;
  return {
    name: 'the first failure to replay pages, though its series is born with it; other failures do not',
    interval: '5m',
    input_series: [
      { series: failures('NonDeterminismError'), values: `_x4 ${stretches([1, 6], [2, 6])}` },
      { series: failures('WorkflowError'), values: rising([[3, 16]]) },
    ],
    promql_expr_test: [],
    alert_rule_test: [
      fired(15, alert, []),
      fired(20, alert, fires),
      fired(40, alert, []),
      fired(50, alert, fires),
      fired(75, alert, []),
    ],
  };
}

function notifications(rules: readonly AlertRule[]): PromtoolTest {
  const alert = 'AlertmanagerDeliveryFailing';
  const labels = { job: 'alertmanager', instance: 'alertmanager:9093', integration: 'webhook' };
  const fires = [[ruleOf(rules, alert), { labels: { integration: 'webhook' }, shown: ['webhook'] }]] as const;
  return {
    name: 'a notification that fails pages, by whatever way is left',
    interval: '5m',
    input_series: [
      { series: select('alertmanager_notifications_failed_total', labels), values: stretches([0, 4], [1, 8]) },
    ],
    promql_expr_test: [],
    alert_rule_test: [fired(15, alert, []), fired(25, alert, fires), fired(55, alert, [])],
  };
}

/** Some are discarded, then one comes: it is one more than at the fewest, and an hour later it is no news. */
function deadLetters(rules: readonly AlertRule[]): PromtoolTest {
  const alert = 'DeadLettersGrowing';
  return {
    name: 'one more dead letter makes a ticket for an hour, however many there were; fewer make none',
    interval: '5m',
    input_series: [{ series: seriesOf('deadLetters'), values: stretches([7, 3], [3, 3], [4, 18]) }],
    promql_expr_test: [],
    alert_rule_test: [
      fired(10, alert, []),
      fired(25, alert, []),
      fired(30, alert, [[ruleOf(rules, alert), { shown: ['1'] }]]),
      fired(105, alert, []),
    ],
  };
}

/** In percent of what it may be: over 80, or over half and full within 96 hours. */
function storeGrowth(rules: readonly AlertRule[], percent: number, perHour: number): PromtoolTest {
  const alert = 'StoreNearlyFull';
  const hours = 8;
  const end = percent + hours * perHour;
  const fires = end > 80 || (end > 50 && end + 96 * perHour > 100);
  return {
    name: `a database that is ${percent} % full and grows by ${perHour} % an hour ${fires ? 'pages, until it is smaller' : 'does not page'}`,
    interval: '30m',
    input_series: [
      { series: seriesOf('storeBytesMax'), values: stretches([100, 2 * hours + 5]) },
      { series: seriesOf('storeBytes'), values: `${percent}+${perHour / 2}x${2 * hours} ${stretches([10, 4])}` },
    ],
    promql_expr_test: [],
    alert_rule_test: [
      fired(hours * 60, alert, fires ? [[ruleOf(rules, alert), { shown: [`${Number(end.toFixed(2))}%`] }]] : []),
      fired(hours * 60 + 120, alert, []),
    ],
  };
}

function storeWithoutLimit(rules: readonly AlertRule[]): PromtoolTest {
  const { alert } = ruleOf(rules, 'StoreNearlyFull');
  return {
    name: 'a database that may be as large as it likes is never nearly full',
    interval: '30m',
    input_series: [
      { series: seriesOf('storeBytesMax'), values: stretches([0, 3]) },
      { series: seriesOf('storeBytes'), values: rising([[1_000_000_000, 2]]) },
    ],
    promql_expr_test: [],
    alert_rule_test: [fired(60, alert, [])],
  };
}
