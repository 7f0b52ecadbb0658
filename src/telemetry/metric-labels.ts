import type { LabelValues, MetricSpec } from './metric-names.ts';

/** Stands for every value that a label may not have. */
export const OTHER = 'other';

export interface LabelBounds {
  /** The same labels, each with a value that it may have. */
  bound(labels: Readonly<Record<string, string>>): Record<string, string>;
  /** The series are gone: other values may have their places. */
  forget(): void;
}

/**
 * Keeps the series of one metric within their bound, whoever chooses the values: a list admits its values, a number
 * admits the first that come, one fewer than it says, and `other` is the last. Where `series` bounds the sets of values
 * as well, one too many is `other` in each label.
 */
export function labelBounds({ labels, series = Infinity }: MetricSpec): LabelBounds {
  const admits = new Map(Object.entries(labels).map(([label, values]) => [label, admissionBy(values)]));
  const sets = new Set<string>();

  function withinSeries(bound: Record<string, string>): Record<string, string> {
    const set = Object.values(bound).join('\n');
    if (sets.has(set)) return bound;
    if (sets.size < series) {
      sets.add(set);
      return bound;
    }
    return Object.fromEntries(Object.keys(bound).map((label) => [label, OTHER]));
  }

  return {
    bound(given) {
      const bound: Record<string, string> = {};
      for (const [label, admission] of admits) bound[label] = admission.admit(given[label] ?? OTHER);
      return series === Infinity ? bound : withinSeries(bound);
    },
    forget() {
      for (const admission of admits.values()) admission.forget();
      sets.clear();
    },
  };
}

/** How many label sets a metric can have at most, `other` included. */
export function mostSeries({ labels, series = Infinity }: MetricSpec): number {
  const product = Object.values(labels).reduce((count, values) => count * mostValues(values), 1);
  return Math.min(product, series + 1);
}

function mostValues(values: LabelValues): number {
  if ('atMost' in values) return values.atMost;
  return values.includes(OTHER) ? values.length : values.length + 1;
}

function admissionBy(values: LabelValues): { admit(value: string): string; forget(): void } {
  if (!('atMost' in values)) {
    const known = new Set(values);
    return { admit: (value) => (known.has(value) ? value : OTHER), forget: () => undefined };
  }
  const seen = new Set<string>();
  return {
    admit(value) {
      if (seen.has(value) || value === OTHER) return value;
      if (seen.size + 1 >= values.atMost) return OTHER;
      seen.add(value);
      return value;
    },
    forget: () => seen.clear(),
  };
}
