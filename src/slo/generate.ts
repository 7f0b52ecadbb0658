import { stringify } from 'yaml';
import type { Objective } from '../domain/objectives.ts';
import { alertGroups, runbookOf } from './alert-catalog.ts';
import type { AlertRule } from './alert-rule.ts';
import { alertTests } from './alert-tests.ts';
import { dashboards } from './dashboards.ts';
import { type Pace, paceOf } from './queries.ts';
import { everyOf, recordingRules } from './rules.ts';

export interface GeneratedFile {
  /** From the folder `ops`, with slashes. */
  readonly path: string;
  readonly text: string;
}

export interface GenerateOptions {
  readonly objectives: readonly Objective[];
  /** Divides every window and every wait, for a proof that has no hours to spare: from 1, the default, to 60. */
  readonly timeScale?: number;
}

const TESTS_DIR = 'prometheus/tests';

/** Where nothing but generated files may lie, from the folder `ops`. */
export const generatedFolders = [TESTS_DIR, 'grafana/dashboards'] as const;

const head =
  "# Made by 'evenkeel slo generate' from ops/slo and src/slo: change those. CI fails where this is not what they make.\n";

/**
 * Every file that is made from the objectives: rules, alerts and, where time is not compressed, promtool's tests of them
 * and the dashboards.
 * Throws `RangeError` for an objective or a time scale that no rules can be made for.
 */
export function generate({ objectives, timeScale = 1 }: GenerateOptions): readonly GeneratedFile[] {
  const pace = paceOf(timeScale);
  const alerts = alertGroups(objectives, pace).map(({ name, alerts: rules }) => ({
    name,
    interval: everyOf(15, pace),
    rules: rules.map((rule) => asPrometheusHasIt(rule, pace)),
  }));
  const groups = recordingRules(objectives, pace);
  return [
    { path: 'prometheus/recording-rules.yml', text: asYaml({ groups }) },
    { path: 'prometheus/alerts.yml', text: asYaml({ groups: alerts }) },
    ...(timeScale === 1 ? [...testFiles(objectives, [...groups, ...alerts]), ...dashboards(objectives)] : []),
  ];
}

function asPrometheusHasIt(rule: AlertRule, pace: Pace) {
  const { alert, expr, forSeconds, keepSeconds, labels, summary, description } = rule;
  return {
    alert,
    expr,
    ...(forSeconds === undefined ? {} : { for: pace.of(forSeconds) }),
    ...(keepSeconds === undefined ? {} : { keep_firing_for: pace.of(keepSeconds) }),
    labels,
    annotations: { summary, description, runbook_url: runbookOf(alert) },
  };
}

function testFiles(objectives: readonly Objective[], groups: readonly { readonly name: string }[]): GeneratedFile[] {
  return alertTests(objectives).map(({ name, evaluationInterval, tests }) => ({
    path: `${TESTS_DIR}/${name}.yml`,
    text: asYaml({
      rule_files: ['../recording-rules.yml', '../alerts.yml'],
      evaluation_interval: evaluationInterval,
      // As it is alerts after what they read; promtool has no order of its own.
      group_eval_order: groups.map((group) => group.name),
      tests,
    }),
  }));
}

function asYaml(document: unknown): string {
  return head + stringify(document, { lineWidth: 0, singleQuote: true, aliasDuplicateObjects: false });
}
