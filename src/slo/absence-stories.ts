/** What is never measured, what stops being measured, and what is measured and well. */
import type { Objective } from '../domain/objectives.ts';
import { alertGroups } from './alert-catalog.ts';
import type { AlertRule } from './alert-rule.ts';
import { firing, type PromtoolTest, type TestFile } from './promtool.ts';
import { scrapeJobs } from './queries.ts';
import { allIsWell, presence, type Presence } from './well-series.ts';

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

/** Measured for 10 minutes, gone for 20, and back. */
function gone(objectives: readonly Objective[], rules: readonly AlertRule[]): PromtoolTest {
  const there: Presence = [
    ['there', 10],
    ['none', 20],
    ['there', 20],
  ];
  const up = presence(there, 1);
  return {
    name: 'what is measured and well makes no alert; what is measured no more is named until it is back',
    interval: '1m',
    input_series: allIsWell(objectives, 60, {
      totals: there,
      postgres: there,
      violations: there,
      temporal: there,
      up: scrapeJobs.map((job) => [job, up]),
    }),
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
