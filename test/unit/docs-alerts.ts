import { alertGroups, runbookOf } from '../../src/slo/alert-catalog.ts';
import type { AlertRule } from '../../src/slo/alert-rule.ts';
import { loadObjectives } from '../../src/slo/files.ts';

const { objectives } = await loadObjectives();

/** One row for each alert and severity: its runbook, and what it says; `…` stands for what differs. */
export function alertRows(): string[][] {
  const rules = alertGroups(objectives).flatMap(({ alerts }) => alerts);
  const rows = Map.groupBy(rules, ({ alert, labels }) => `${alert} ${labels.severity}`);
  return [...rows.values()].flatMap((alike) => {
    const [first] = alike;
    if (first === undefined) return [];
    const says = new Set(alike.map((rule) => (alike.length === 1 ? plain(rule.summary) : general(rule))));
    return [[`[${first.alert}](../${runbookOf(first.alert)})`, first.labels.severity, [...says].join('; ')]];
  });
}

function plain(summary: string): string {
  return summary.replaceAll(/\{\{[^}]*\}\}/g, '…');
}

function general({ summary, labels }: AlertRule): string {
  const { severity: _, ...others } = labels;
  const particular = [...Object.values(others), ...objectives.map(({ title }) => title)];
  return particular.reduce((text, word) => text.replace(word, '…'), plain(summary));
}
