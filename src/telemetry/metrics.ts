import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type MetricKey, type MetricSpec, metrics as specs } from './metric-names.ts';

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

/** Every metric of a process, by its key. What is not in `metric-names.ts` cannot be exported. */
export interface Metrics {
  /** Adds to a counter. */
  count<Key extends OfType<'counter'>>(key: Key, labels: Labels<Key>, by?: number): void;
  /** Makes a counter show what was counted elsewhere; the caller sees to it that it never falls. */
  countTo<Key extends OfType<'counter'>>(key: Key, labels: Labels<Key>, total: number): void;
  observe<Key extends OfType<'histogram'>>(key: Key, labels: Labels<Key>, value: number): void;
  set<Key extends OfType<'gauge'>>(key: Key, labels: Labels<Key>, value: number): void;
  /** Takes every series of the metric away: better none than one that is not true any more. */
  clear(key: OfType<'gauge'>): void;
  readonly registry: Registry;
}

/**
 * Makes the metrics that `from` exports. Every counter and histogram whose label values are known begins at zero: an
 * alert on a series that does not exist yet would see nothing. Gauges appear when they are first set.
 */
export function createMetrics(from: readonly MetricSpec['from'][], registry = new Registry()): Metrics {
  const counters = new Map<MetricKey, Counter>();
  const gauges = new Map<MetricKey, Gauge>();
  const histograms = new Map<MetricKey, Histogram>();
  for (const [name, spec] of Object.entries<MetricSpec>(specs)) {
    if (!from.includes(spec.from)) continue;
    const key = name as MetricKey;
    const options = { name: spec.name, help: spec.help, labelNames: Object.keys(spec.labels), registers: [registry] };
    if (spec.type === 'counter') counters.set(key, zeroed(new Counter(options), spec));
    else if (spec.type === 'gauge') gauges.set(key, new Gauge(options));
    else histograms.set(key, new Histogram({ ...options, buckets: [...(spec.buckets ?? [])] }));
  }
  return {
    count: (key, labels, by = 1) => counters.get(key)?.inc(plain(labels), by),
    countTo(key, labels, total) {
      const counter = counters.get(key);
      counter?.remove(plain(labels));
      counter?.inc(plain(labels), total);
    },
    observe: (key, labels, value) => histograms.get(key)?.observe(plain(labels), value),
    set: (key, labels, value) => gauges.get(key)?.set(plain(labels), value),
    clear(key) {
      gauges.get(key)?.reset();
    },
    registry,
  };
}

function plain(labels: object): Record<string, string> {
  return { ...labels };
}

function zeroed(counter: Counter, { labels }: MetricSpec): Counter {
  const known = Object.entries(labels).map(([label, values]) =>
    'atMost' in values ? undefined : values.map((value) => ({ [label]: value })),
  );
  if (known.some((values) => values === undefined)) return counter;
  const all = known.reduce<Record<string, string>[]>(
    (sets, values) => sets.flatMap((set) => (values ?? []).map((value) => ({ ...set, ...value }))),
    [{}],
  );
  for (const set of all) counter.inc(set, 0);
  return counter;
}
