import type { Registry } from 'prom-client';
import { type MetricKey, type MetricSpec, metrics as specs } from '../../src/telemetry/metric-names.ts';

/** A metric's series by their labels, `a=1,b=2` in the order of the names; of a histogram, how many were observed. */
export async function valuesOf(
  { registry }: { readonly registry: Registry },
  key: MetricKey,
): Promise<Record<string, number>> {
  const spec: MetricSpec = specs[key];
  const { values } = (await registry.getSingleMetric(spec.name)?.get()) ?? { values: [] };
  const counted = `${spec.name}_count`;
  return Object.fromEntries(
    values
      .filter((value) => spec.type !== 'histogram' || ('metricName' in value && value.metricName === counted))
      .map(({ labels, value }) => [nameOf(labels), value]),
  );
}

/** Those that are not 0. */
export async function countsOf(
  metrics: { readonly registry: Registry },
  key: MetricKey,
): Promise<Record<string, number>> {
  return Object.fromEntries(Object.entries(await valuesOf(metrics, key)).filter(([, value]) => value !== 0));
}

function nameOf(labels: Partial<Record<string, string | number>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .toSorted()
    .join(',');
}
