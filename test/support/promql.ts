/** Reads as much of PromQL as it takes to hold the names in it against what exists. The grammar is promtool's to check. */
import type { Objective } from '../../src/domain/objectives.ts';
import { foreign } from '../../src/slo/dashboard-queries.ts';
import { paceOf } from '../../src/slo/queries.ts';
import { recordingRules } from '../../src/slo/rules.ts';
import { type MetricSpec, metrics } from '../../src/telemetry/metric-names.ts';

/** Of programs that are not ours. Whether these exist is seen where they run: test/e2e/paging.test.ts. */
export const ofOthers = new Set<string>([
  ...Object.values(foreign),
  'alertmanager_notifications_failed_total',
  'prometheus_notifications_alertmanagers_discovered',
  'prometheus_notifications_errors_total',
]);
const byScrape = ['job', 'instance'];
const keywords = new Set(['and', 'or', 'unless', 'bool', 'offset', 'on', 'ignoring', 'by', 'without', 'inf', 'nan']);
const suffixes = ['_bucket', '_count', '_sum'];

/** Says of an expression which of its metrics, labels and values do not exist; empty if all do. */
export function promqlNames(objectives: readonly Objective[]): (expr: string) => string[] {
  const recordedNames = new Set(
    recordingRules(objectives, paceOf()).flatMap(({ rules }) => rules.map(({ record }) => record)),
  );
  return (expr) => {
    const found = metricsOf(expr);
    const unknown = found.filter((name) => !specOf(name) && !recordedNames.has(name) && !ofOthers.has(name));
    if (found.length === 0 && !/vector\(|time\(/.test(expr)) unknown.push('(no metric at all)');
    return [
      ...unknown.map((name) => `there is no metric ${name}`),
      ...selectorsOf(expr).flatMap(({ metric, label, value }) => problemOfMatcher(metric, label, value)),
      ...(found.some((name) => ofOthers.has(name)) ? [] : problemsOfGrouping(expr, found)),
    ];
  };
}

function specOf(name: string): MetricSpec | undefined {
  const all: readonly MetricSpec[] = Object.values(metrics);
  const histogram = suffixes.find((suffix) => name.endsWith(suffix));
  return all.find(
    (spec) =>
      (spec.type !== 'histogram' && spec.name === name) ||
      (spec.type === 'histogram' && histogram !== undefined && spec.name === name.slice(0, -histogram.length)),
  );
}

function metricsOf(expr: string): string[] {
  const bare = expr
    .replaceAll(/"(?:\\.|[^"])*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, '');
  const names = bare.matchAll(/(?<![\w:.$])[a-z_:][\w:]*(?!\s*\(|[\w:])/gi);
  return [...names].map(([name]) => name).filter((name) => !keywords.has(name.toLowerCase()));
}

function selectorsOf(expr: string): { metric: string; label: string; value: string | undefined }[] {
  return [...expr.matchAll(/([a-z_:][\w:]*)\{([^}]*)\}/gi)].flatMap(([, metric = '', inner = '']) =>
    [...inner.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(([, label = '', operator, value = '']) => ({
      metric,
      label,
      value: operator === '=' || operator === '!=' ? value : undefined,
    })),
  );
}

function problemOfMatcher(metric: string, label: string, value: string | undefined): string[] {
  const spec = specOf(metric);
  if (!spec || byScrape.includes(label) || (label === 'le' && spec.type === 'histogram')) return [];
  const values = spec.labels[label];
  if (values === undefined) return [`${metric} has no label ${label}`];
  if (value === undefined || 'atMost' in values || values.includes(value)) return [];
  return [`${metric}: ${label} is never "${value}"`];
}

function problemsOfGrouping(expr: string, found: readonly string[]): string[] {
  const known = new Set([
    'slo',
    'le',
    ...byScrape,
    ...found.flatMap((name) => Object.keys(specOf(name)?.labels ?? {})),
  ]);
  const grouped = [...expr.matchAll(/\b(?:by|without|on)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(','));
  const labels = grouped.map((label) => label.trim()).filter((label) => label !== '');
  return labels.filter((label) => !known.has(label)).map((label) => `nothing here has a label ${label}`);
}
