import type { Objective } from '../domain/objectives.ts';
import type { AlertRule } from './alert-rule.ts';
import { budgetAlerts } from './burn-alerts.ts';
import { causeAlerts } from './cause-alerts.ts';
import { guardAlerts } from './guard-alerts.ts';
import { measurementAlerts } from './measurement-alerts.ts';
import { paceOf, type Pace } from './queries.ts';
import { symptomAlerts } from './symptom-alerts.ts';

/** Every alert, in groups. Symptoms page, causes make tickets. */
export function alertGroups(
  objectives: readonly Objective[],
  pace: Pace = paceOf(),
): readonly { readonly name: string; readonly alerts: readonly AlertRule[] }[] {
  return [
    { name: 'evenkeel-budgets', alerts: objectives.flatMap(budgetAlerts) },
    { name: 'evenkeel-measurement', alerts: measurementAlerts(objectives, pace) },
    { name: 'evenkeel-symptoms', alerts: symptomAlerts(pace) },
    { name: 'evenkeel-causes', alerts: causeAlerts(pace) },
    { name: 'evenkeel-guards', alerts: guardAlerts(pace) },
  ];
}

/** Each name once, in the order of the groups: there is a runbook for each. */
export function alertNames(objectives: readonly Objective[]): readonly string[] {
  return [...new Set(alertGroups(objectives).flatMap(({ alerts }) => alerts.map(({ alert }) => alert)))];
}

/** Where an alert's runbook is, from the root of the repository. */
export function runbookOf(alert: string): string {
  return `ops/runbooks/${alert}.md`;
}

/** The alert of a name, and with these labels where several have it. Throws `RangeError` if there is none. */
export function ruleOf(
  rules: readonly AlertRule[],
  alert: string,
  own: Readonly<Record<string, string>> = {},
): AlertRule {
  const found = rules.find(
    (rule) => rule.alert === alert && Object.entries(own).every(([label, value]) => rule.labels[label] === value),
  );
  if (found === undefined) throw new RangeError(`there is no alert ${alert}`);
  return found;
}
