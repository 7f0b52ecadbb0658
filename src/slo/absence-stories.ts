/** What is never measured, what stops being measured, and what is measured and well. */
import type { Objective } from '../domain/objectives.ts';
import type { MetricKey } from '../telemetry/metric-names.ts';
import { alertGroups } from './alert-catalog.ts';
import type { AlertRule } from './alert-rule.ts';
import { countersOf } from './budget-stories.ts';
import { firing, type PromtoolTest, seriesOf, type TestFile } from './promtool.ts';
import { scrapeJobs, select } from './queries.ts';

/** The alerts that say that something is missing. All others are silent then: nothing was measured that is wrong. */
const ABSENCES: readonly string[] = ['SliAbsent', 'FactsStale', 'MetricsTargetDown'];

export function absenceTests(objectives: readonly Objective[]): readonly TestFile[] {
  const rules = alertGroups(objectives).flatMap(({ alerts }) => alerts);
  return [{ name: 'absence', evaluationInterval: '1m', tests: [never(rules), gone(objectives, rules)] }];
}

function never(rules: readonly AlertRule[]): PromtoolTest {
  return {
    name: 'where nothing was ever measured, what is missing is named, and nothing else fires',
    interval: '1m',
    input_series: [],
    promql_expr_test: [
      // Whoever has just started may take a moment.
      firing(0, '.+', rulesOf(rules, ['Watchdog'])),
      firing(10, '.+', rulesOf(rules, ['Watchdog', ...ABSENCES])),
    ],
    alert_rule_test: [],
  };
}

const steady = (value: number): string => `${value}x9 stale _x19 ${value}x19`;

function fact(key: MetricKey, value: number, labels: Readonly<Record<string, string>> = {}) {
  return { series: seriesOf(key, labels), values: steady(value) };
}

/** Measured for 10 minutes, gone for 20, and back. */
function gone(objectives: readonly Objective[], rules: readonly AlertRule[]): PromtoolTest {
  const clock = '0+60x9 stale _x19 1800+60x19';
  return {
    name: 'what is measured and well makes no alert; what is measured no more is named until it is back',
    interval: '1m',
    input_series: [
      ...objectives.flatMap((objective) => {
        const { good, events } = countersOf(objective);
        return [
          { series: good, values: '0+99x9 stale _x19 3000+99x19' },
          { series: events, values: '0+99x9 stale _x19 3000+99x19' },
        ];
      }),
      { series: seriesOf('sloJudgedUntil'), values: clock },
      ...['postgres', 'violations', 'temporal'].map((source) => ({
        series: seriesOf('factsReadAt', { source }),
        values: clock,
      })),
      ...scrapeJobs.map((job) => ({ series: select('up', { job, instance: 'one' }), values: steady(1) })),
      fact('violations', 0, { kind: 'lost_order' }),
      fact('oldestStartable', 0),
      fact('oldestUnknownPayment', 0),
      fact('failedCompensations', 0),
      fact('storeBytes', 1),
      fact('storeBytesMax', 0),
      fact('storeConnections', 10),
      fact('storeConnectionsMax', 100),
      fact('deadLetters', 0),
      fact('parkedMessages', 0),
      fact('consumers', 0, { state: 'in_trouble' }),
      fact('taskQueuePollers', 2, { kind: 'workflow' }),
      fact('taskQueueBacklogAge', 0, { kind: 'workflow' }),
    ],
    promql_expr_test: [
      firing(9, '.+', rulesOf(rules, ['Watchdog'])),
      firing(29, '.+', rulesOf(rules, ['Watchdog', ...ABSENCES])),
      firing(49, '.+', rulesOf(rules, ['Watchdog'])),
    ],
    alert_rule_test: [],
  };
}

function rulesOf(rules: readonly AlertRule[], names: readonly string[]): readonly AlertRule[] {
  return rules.filter(({ alert }) => names.includes(alert));
}
