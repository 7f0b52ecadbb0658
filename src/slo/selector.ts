/** A query of an indicator: one counter, narrowed by labels, over all series. */
export interface Selector {
  readonly aggregation: 'sum' | 'max';
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Reads `sum(metric{label="value"})`. Undefined for any other PromQL: what the rules are made from must be so plain that
 * it can be held against the list of metrics.
 */
export function parseSelector(query: string): Selector | undefined {
  const [, aggregation, metric, inner] =
    /^(sum|max)\(([a-z_:][a-z0-9_:]*)(?:\{([^{}]*)\})?\)$/i.exec(query.trim()) ?? [];
  if (metric === undefined || (aggregation !== 'sum' && aggregation !== 'max')) return undefined;
  const matchers = inner === undefined || inner.trim() === '' ? [] : inner.split(',');
  const labels: Record<string, string> = {};
  for (const matcher of matchers) {
    const [, label, value] = /^\s*([a-z_][a-z0-9_]*)\s*=\s*"([^"\\]*)"\s*$/i.exec(matcher) ?? [];
    if (label === undefined || value === undefined || Object.hasOwn(labels, label)) return undefined;
    labels[label] = value;
  }
  return { aggregation, metric, labels };
}

/** Whether every series that `part` selects is one that `whole` selects too. */
export function isWithin(part: Selector, whole: Selector): boolean {
  return (
    part.metric === whole.metric && Object.entries(whole.labels).every(([label, value]) => part.labels[label] === value)
  );
}

/** Whether both narrow by the same labels. */
export function sameLabels(one: Selector, other: Selector): boolean {
  const names = new Set([...Object.keys(one.labels), ...Object.keys(other.labels)]);
  return [...names].every((name) => one.labels[name] === other.labels[name]);
}
