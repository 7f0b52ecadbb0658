import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type MetricKey, type MetricSpec, metrics as specs } from './metric-names.ts';
import { labelBounds } from './metric-labels.ts';
import { shared } from './shared.ts';

type Specs = typeof specs;
type OfType<Type extends MetricSpec['type']> = {
  [Key in MetricKey]: Specs[Key]['type'] extends Type ? Key : never;
}[MetricKey];
/** One value for each of the metric's labels: of its list, where there is one. */
export type Labels<Key extends MetricKey> = {
  readonly [Label in keyof Specs[Key]['labels']]: Specs[Key]['labels'][Label] extends readonly (infer Value extends
    string)[]
    ? Value
    : string;
};

/**
 * Every metric of a process, by its key. What is not in `metric-names.ts` cannot be exported. Never throws: what is no
 * number, or would make a counter fall, is left out. A label's value that is not of its list, or is one too many, counts
 * as `other`, whatever the types say: some come from callers.
 */
export interface Metrics {
  /** Adds to a counter. By 0 it only makes the series appear. */
  count<Key extends OfType<'counter'>>(key: Key, labels: Labels<Key>, by?: number): void;
  /** Makes a counter show what was counted elsewhere; the caller sees to it that it never falls. */
  countTo<Key extends OfType<'counter'>>(key: Key, labels: Labels<Key>, total: number): void;
  observe<Key extends OfType<'histogram'>>(key: Key, labels: Labels<Key>, value: number): void;
  set<Key extends OfType<'gauge'>>(key: Key, labels: Labels<Key>, value: number): void;
  /** Takes every series of the metric away: better none than one that is not true any more. */
  clear(key: OfType<'gauge' | 'counter'>): void;
  /** Has `read` bring metrics up to date before each scrape; one that still runs is not run again beside itself. */
  onScrape(read: () => void | Promise<void>): void;
  /** Runs all that `onScrape` was given. Rejects with the first failure once all have ended. */
  collect(): Promise<void>;
  readonly registry: Registry;
}

/**
 * Makes the metrics that `from` exports. Every counter of a process whose label values are known begins at zero: an
 * alert on a series that does not exist yet would see nothing. What comes from records, and gauges, appear when they
 * are first set: a zero that nobody has read would look like a reset, and the true value after it like a burst.
 */
export function createMetrics(from: readonly MetricSpec['from'][], registry = new Registry()): Metrics {
  const counters = new Map<MetricKey, Counter>();
  const gauges = new Map<MetricKey, Gauge>();
  const histograms = new Map<MetricKey, Histogram>();
  const bounds = new Map(Object.entries<MetricSpec>(specs).map(([key, spec]) => [key, labelBounds(spec)]));
  const readers: (() => Promise<void>)[] = [];
  const bounded = (key: MetricKey, labels: Readonly<Record<string, string>>): Record<string, string> =>
    bounds.get(key)?.bound(labels) ?? { ...labels };

  for (const [name, spec] of Object.entries<MetricSpec>(specs)) {
    if (!from.includes(spec.from)) continue;
    const key = name as MetricKey;
    const options = { name: spec.name, help: spec.help, labelNames: Object.keys(spec.labels), registers: [registry] };
    if (spec.type === 'counter') counters.set(key, new Counter(options));
    else if (spec.type === 'gauge') gauges.set(key, emptied(new Gauge(options), spec));
    else histograms.set(key, new Histogram({ ...options, buckets: [...(spec.buckets ?? [])] }));
  }
  for (const [key, counter] of counters) {
    const spec: MetricSpec = specs[key];
    emptied(counter, spec);
    if (spec.from === 'process') for (const labels of combinations(spec)) counter.inc(bounded(key, labels), 0);
  }
  return {
    count(key, labels, by = 1) {
      if (Number.isFinite(by) && by >= 0) counters.get(key)?.inc(bounded(key, labels), by);
    },
    countTo(key, labels, total) {
      const counter = counters.get(key);
      if (counter === undefined || !Number.isFinite(total) || total < 0) return;
      const whole = bounded(key, labels);
      counter.remove(whole);
      counter.inc(whole, total);
    },
    observe(key, labels, value) {
      if (Number.isFinite(value)) histograms.get(key)?.observe(bounded(key, labels), value);
    },
    set(key, labels, value) {
      if (Number.isFinite(value)) gauges.get(key)?.set(bounded(key, labels), value);
    },
    clear(key) {
      const metric = gauges.get(key) ?? counters.get(key);
      metric?.reset();
      if (metric !== undefined) emptied(metric, specs[key]);
      bounds.get(key)?.forget();
    },
    onScrape: (read) => void readers.push(shared(async () => read())),
    async collect() {
      const ends = await Promise.allSettled(readers.map((read) => read()));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },
    registry,
  };
}

/** prom-client shows a metric without labels as 0 from the beginning, and again after a reset. */
function emptied<Metric extends Counter | Gauge>(metric: Metric, { labels }: MetricSpec): Metric {
  if (Object.keys(labels).length === 0) metric.remove({});
  return metric;
}

/** Every set of label values, where all are known; none otherwise. */
function combinations({ labels }: MetricSpec): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (sets, [label, values]) =>
      'atMost' in values ? [] : sets.flatMap((set) => values.map((value) => ({ ...set, [label]: value }))),
    [{}],
  );
}
