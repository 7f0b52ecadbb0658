import { type MetricKey, metrics } from '../telemetry/metric-names.ts';
import { select } from './queries.ts';

type Labels = Readonly<Record<string, string>>;

/** Grafana puts in a range that fits the scrape interval and the zoom. */
const RANGE = '$__rate_interval';

/** Metrics that others export: Prometheus itself, Node and Temporal's SDK. */
export const foreign = {
  up: 'up',
  alerts: 'ALERTS',
  cpuSeconds: 'process_cpu_seconds_total',
  memoryBytes: 'process_resident_memory_bytes',
  eventLoopLag: 'nodejs_eventloop_lag_p99_seconds',
  slotsAvailable: 'temporal_worker_task_slots_available',
  taskFailures: 'temporal_workflow_task_execution_failed_total',
  requestFailures: 'temporal_request_failure_total',
} as const;

/** How many a second, summed up by `by`. */
export function rate(key: MetricKey, by = '', labels: Labels = {}): string {
  return `sum${byOf(by)} (rate(${select(metrics[key].name, labels)}[${RANGE}]))`;
}

/** As `rate`, of what others export. */
export function foreignRate(name: keyof typeof foreign, by: string): string {
  return `sum${byOf(by)} (rate(${foreign[name]}[${RANGE}]))`;
}

/** What `share` of a histogram's observations stays under, by `by`. */
export function quantile(share: number, key: MetricKey, by = ''): string {
  const labels = ['le', by].filter((label) => label !== '').join(', ');
  return `histogram_quantile(${share}, sum by (${labels}) (rate(${metrics[key].name}_bucket[${RANGE}])))`;
}

/** The share of a histogram's observations up to `bound`, one of its buckets: `30`, which Prometheus 3 stores as `30.0`. */
export function shareWithin(bound: number, key: MetricKey): string {
  const { name } = metrics[key];
  return `sum(rate(${name}_bucket{le=~"${bound}(\\\\.0)?"}[${RANGE}])) / (sum(rate(${name}_count[${RANGE}])) > 0)`;
}

function byOf(by: string): string {
  return by === '' ? '' : ` by (${by})`;
}
