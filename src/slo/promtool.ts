/** What `promtool test rules` reads, and what its tests are written with. Times are minutes from a test's beginning. */
import type { AlertRule } from './alert-rule.ts';

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
