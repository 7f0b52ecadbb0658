/** What `promtool test rules` reads, and what its tests are written with. Times are minutes from a test's beginning. */
import { runbookOf } from './alert-catalog.ts';
import type { AlertRule } from './alert-rule.ts';
import { type MetricKey, metrics } from '../telemetry/metric-names.ts';
import { select } from './queries.ts';

export interface TestFile {
  readonly name: string;
  /** How often rules are evaluated, all of them; a duration of Prometheus. */
  readonly evaluationInterval: string;
  readonly tests: readonly PromtoolTest[];
}

export interface PromtoolTest {
  readonly name: string;
  /** From one value of a series to its next. */
  readonly interval: string;
  readonly input_series: readonly { readonly series: string; readonly values: string }[];
  readonly promql_expr_test: readonly QueryTest[];
  readonly alert_rule_test: readonly AlertTest[];
}

export interface QueryTest {
  readonly expr: string;
  readonly eval_time: string;
  readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
}

export interface AlertTest {
  readonly eval_time: string;
  readonly alertname: string;
  readonly exp_alerts: readonly {
    readonly exp_labels: Readonly<Record<string, string>>;
    readonly exp_annotations: Readonly<Record<string, string>>;
  }[];
}

/** One stretch of a series: so many samples of one value, or of none. */
export type Stretch = readonly [value: number | 'none', samples: number];

/** A gauge that stays as it is for a while, and then changes. What ends with `none` has left: a scrape missed it. */
export function stretches(...parts: readonly Stretch[]): string {
  return parts
    .flatMap(([value, samples]) => {
      if (samples <= 0) return [];
      if (value !== 'none') return [`${value}x${samples - 1}`];
      return samples === 1 ? ['stale'] : ['stale', `_x${samples - 1}`];
    })
    .join(' ');
}

/** A counter, from what it rises by in each of a number of samples; it is at `start` before the first of them. */
export function rising(parts: readonly (readonly [by: number, samples: number])[], start = 0): string {
  let value = start;
  const text = [`${start}`];
  for (const [by, samples] of parts) {
    text.push(`${exact(value + by)}+${exact(by)}x${samples - 1}`);
    value += by * samples;
  }
  return text.join(' ');
}

/** Without the dust of binary fractions. */
function exact(value: number): number {
  return Number(value.toFixed(6));
}

/** Of the alerts whose names match, these and no others fire; at a severity, if one is named. */
export function firing(
  at: number,
  names: string,
  expected: readonly AlertRule[],
  severity?: AlertRule['labels']['severity'],
): QueryTest {
  const only = severity === undefined ? '' : `, severity="${severity}"`;
  return {
    expr: `ALERTS{alertname=~"${names}", alertstate="firing"${only}}`,
    eval_time: `${at}m`,
    exp_samples: expected.map(({ alert, labels }) => ({
      labels: `ALERTS${labelsOf({ alertname: alert, alertstate: 'firing', ...labels })}`,
      value: 1,
    })),
  };
}

/** A query gives these values; by the labels of each. */
export function query(
  at: number,
  expr: string,
  expected: readonly (readonly [Readonly<Record<string, string>>, number])[],
): QueryTest {
  return {
    expr,
    eval_time: `${at}m`,
    exp_samples: expected.map(([labels, value]) => ({ labels: labelsOf(labels), value })),
  };
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `{${pairs.join(', ')}}`;
}

/** A firing alert: the labels that its series add to its own, and what each of its templates is to show, in order. */
export interface Shown {
  readonly labels?: Readonly<Record<string, string>>;
  readonly shown?: readonly string[];
}

/** Of this name, these alerts fire and no others, with these annotations. */
export function fired(
  at: number,
  alert: string,
  expected: readonly (readonly [rule: AlertRule, shown: Shown])[],
): AlertTest {
  return {
    eval_time: `${at}m`,
    alertname: alert,
    exp_alerts: expected.map(([rule, { labels = {}, shown = [] }]) => {
      const left = [...shown];
      const filled = (text: string): string => text.replaceAll(/\{\{.+?\}\}/g, () => left.shift() ?? 'nothing to show');
      return {
        exp_labels: { ...rule.labels, ...labels },
        exp_annotations: {
          summary: filled(rule.summary),
          description: filled(rule.description),
          runbook_url: runbookOf(alert),
        },
      };
    }),
  };
}

/** A series of one of our metrics, as one process of the API exports it. */
export function seriesOf(key: MetricKey, labels: Readonly<Record<string, string>> = {}, instance = 'api-1'): string {
  return select(metrics[key].name, { job: 'evenkeel-api', instance, ...labels });
}
