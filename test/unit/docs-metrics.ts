/** The table of docs/metrics.md, made from the metrics themselves. */
import { OTHER } from '../../src/telemetry/metric-labels.ts';
import { type LabelValues, type MetricSpec, metrics } from '../../src/telemetry/metric-names.ts';

/** More than these are named by what they are. */
const SHOWN_VALUES = 9;

/** Name, type, labels with their values, unit, who exports it, meaning. */
export function metricRows(from: MetricSpec['from']): string[][] {
  return Object.values<MetricSpec>(metrics)
    .filter((spec) => spec.from === from)
    .map((spec) => [`\`${spec.name}\``, spec.type, labelsOf(spec), unitOf(spec), spec.help]);
}

function labelsOf({ labels }: MetricSpec): string {
  return Object.entries(labels)
    .map(([label, values]) => `\`${label}\`: ${valuesOf(values)}`)
    .join('<br>');
}

function valuesOf(values: LabelValues): string {
  if ('atMost' in values) return `at most ${values.atMost}, \`${OTHER}\` included`;
  return values.length > SHOWN_VALUES
    ? `one of ${values.length}, such as \`${values[0]}\``
    : values.map((value) => `\`${value}\``).join(', ');
}

/** By Prometheus' conventions the name ends with it. Nothing: a number of what the name says. */
export function unitOf({ name }: Pick<MetricSpec, 'name'>): string {
  if (name.endsWith('_timestamp_seconds')) return 'Unix time, s';
  if (name.endsWith('_seconds')) return 's';
  return /_bytes(_total)?$/.test(name) ? 'bytes' : '';
}
