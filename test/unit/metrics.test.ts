import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { eventTypes } from '../../src/domain/events.ts';
import { labelBounds, mostSeries } from '../../src/telemetry/metric-labels.ts';
import { type MetricSpec, metrics as specs } from '../../src/telemetry/metric-names.ts';
import { type Metrics, createMetrics } from '../../src/telemetry/metrics.ts';
import { countsOf, valuesOf } from '../support/metric-values.ts';
import { unitOf } from './docs-metrics.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

const all = Object.values<MetricSpec>(specs);
const many = Array.from({ length: 2_000 }, (_, n) => `unknown-${n}`);

describe('before anything happened', () => {
  it('a counter of the process shows every set of its known values as 0', async () => {
    const events = await valuesOf(createMetrics(['process']), 'eventsPublished');
    expect(events).toEqual(Object.fromEntries(eventTypes.map((type) => [`type=${type}`, 0])));
    expect(await valuesOf(createMetrics(['process']), 'ordersAccepted')).toEqual({ '': 0 });
  });

  it('what comes from records, and gauges, are absent: nobody has read them yet', async () => {
    const text = await createMetrics(['process', 'records']).registry.metrics();
    const absent = all.filter(({ from, type }) => from === 'records' || type === 'gauge').map(({ name }) => name);
    const shown = text.split('\n').filter((line) => !line.startsWith('#'));
    expect(absent.filter((name) => shown.some((line) => line.startsWith(name)))).toEqual([]);
  });

  it('only what this kind of process exports is there', async () => {
    const { registry } = createMetrics(['process']);
    expect(registry.getMetricsAsArray().map(({ name }) => name)).toEqual(
      all.filter(({ from }) => from === 'process').map(({ name }) => name),
    );
  });
});

describe('a metric', () => {
  it('that is cleared shows nothing until it is set again, with labels or without', async () => {
    const metrics = createMetrics(['records']);
    const set = (): void => {
      metrics.set('openOrders', { status: 'confirmed' }, 3);
      metrics.set('deadLetters', {}, 4);
      metrics.countTo('sloGood', { slo: 'order-processing' }, 5);
    };
    set();
    metrics.clear('openOrders');
    metrics.clear('deadLetters');
    metrics.clear('sloGood');
    const shown = () =>
      Promise.all([valuesOf(metrics, 'openOrders'), valuesOf(metrics, 'deadLetters'), valuesOf(metrics, 'sloGood')]);
    expect(await shown()).toEqual([{}, {}, {}]);
    set();
    expect(await shown()).toEqual([{ 'status=confirmed': 3 }, { '': 4 }, { 'slo=order-processing': 5 }]);
  });

  it('keeps what it has where it is given no number, or less than nothing', async () => {
    const metrics = createMetrics(['process', 'records']);
    metrics.count('ordersAccepted', {}, 2);
    metrics.observe('orderSeconds', {}, 0.1);
    metrics.set('deadLetters', {}, 4);
    metrics.countTo('sloGood', { slo: 'order-processing' }, 5);
    for (const wrong of [NaN, Infinity, -1]) {
      metrics.count('ordersAccepted', {}, wrong);
      metrics.countTo('sloGood', { slo: 'order-processing' }, wrong);
    }
    for (const wrong of [NaN, Infinity]) {
      metrics.observe('orderSeconds', {}, wrong);
      metrics.set('deadLetters', {}, wrong);
    }
    expect(await valuesOf(metrics, 'ordersAccepted')).toEqual({ '': 2 });
    expect(await valuesOf(metrics, 'orderSeconds')).toEqual({ '': 1 });
    expect(await valuesOf(metrics, 'deadLetters')).toEqual({ '': 4 });
    expect(await valuesOf(metrics, 'sloGood')).toEqual({ 'slo=order-processing': 5 });
  });

  it('that another counted shows that number, not the sum of what it was told', async () => {
    const metrics = createMetrics(['records']);
    metrics.countTo('sloGood', { slo: 'order-processing' }, 10);
    metrics.countTo('sloGood', { slo: 'order-processing' }, 12);
    expect(await valuesOf(metrics, 'sloGood')).toEqual({ 'slo=order-processing': 12 });
  });
});

describe('before a scrape', () => {
  it('all readers run, and the first failure is told when the others have ended', async () => {
    const metrics = createMetrics(['process']);
    const ran: string[] = [];
    metrics.onScrape(() => {
      throw new Error('no answer');
    });
    metrics.onScrape(async () => {
      await Promise.resolve();
      ran.push('slow');
    });
    metrics.onScrape(() => void ran.push('quick'));
    await expect(metrics.collect()).rejects.toThrow('no answer');
    expect(ran.toSorted()).toEqual(['quick', 'slow']);
  });
});

describe('every metric', () => {
  const sources = globSync('src/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('metric-names.ts'));
  const text = sources.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');

  it.each(Object.keys(specs))('%s is exported by somebody', (key) => {
    expect(text).toMatch(new RegExp(`\\b(count|countTo|observe|set)\\(\\s*'${key}'`));
  });

  it.each(all.map((spec) => [spec.name, spec] as const))('%s is named by the conventions', (name, spec) => {
    expect(name.endsWith('_total')).toBe(spec.type === 'counter');
    expect(name).not.toMatch(/_(ms|milliseconds|count|sum|bucket)$/);
    expect(['s', ...(spec.type === 'histogram' ? [] : ['', 'bytes', 'Unix time, s'])]).toContain(unitOf(spec));
    expect(spec.buckets ?? []).toEqual([...(spec.buckets ?? [])].toSorted((a, b) => a - b));
  });
});

describe('series stay few', () => {
  it.each(all.map((spec) => [spec.name, spec] as const))('%s has at most 700 sets of labels', (_name, spec) => {
    expect(mostSeries(spec)).toBeLessThanOrEqual(700);
  });

  it.each(all.map((spec) => [spec.name, spec] as const))('%s stays within its bound in a flood', (_name, spec) => {
    const bounds = labelBounds(spec);
    const labels = Object.keys(spec.labels);
    const sets = new Set<string>();
    const add = (given: Record<string, string>): void => void sets.add(JSON.stringify(bounds.bound(given)));
    for (const value of many) {
      // Each label by itself, its others as they should be, and all at once.
      for (const label of labels) add({ ...ordinary(spec), [label]: value });
      add(Object.fromEntries(labels.map((label) => [label, value])));
    }
    expect(sets.size).toBeLessThanOrEqual(mostSeries(spec));
  });

  it.each(flooded())('%s', async (_what, key, flood) => {
    const metrics = createMetrics(['process', 'records']);
    for (const value of many) flood(metrics, value);
    const series = Object.keys(await valuesOf(metrics, key));
    expect(series.length).toBeLessThanOrEqual(mostSeries(specs[key]));
    expect(series.filter((labels) => labels.includes('other'))).not.toEqual([]);
  });

  it('the first values keep their names, and nothing is lost', async () => {
    const metrics = createMetrics(['process']);
    for (const name of ['screen', ...many, 'screen']) metrics.observe('activitySeconds', { activity: name }, 1);
    const counts = await countsOf(metrics, 'activitySeconds');
    expect(counts['activity=screen']).toBe(2);
    expect(Object.values(counts).reduce((a, b) => a + b)).toBe(many.length + 2);
  });

  it('others may have the places once the series are gone', async () => {
    const metrics = createMetrics(['records']);
    for (const value of many) metrics.set('consumerLag', { consumer: value }, 1);
    metrics.clear('consumerLag');
    metrics.set('consumerLag', { consumer: 'late-comer' }, 1);
    expect(await valuesOf(metrics, 'consumerLag')).toEqual({ 'consumer=late-comer': 1 });
  });
});

function ordinary({ labels }: MetricSpec): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([label, values]) => [label, 'atMost' in values ? 'one' : (values[0] ?? '')]),
  );
}

type Flood = (metrics: Metrics, value: string) => void;
/** What callers choose, as they would: past the types. */
function flooded(): [string, keyof typeof specs, Flood][] {
  return [
    [
      'unknown methods and routes become other',
      'httpRequests',
      (m, value) => m.count('httpRequests', { method: value as 'GET', route: value, status: '4xx' }),
    ],
    ['unknown routes become other', 'httpSeconds', (m, value) => m.observe('httpSeconds', { route: value }, 1)],
    [
      'unknown event types become other',
      'deliveryAttempts',
      (m, value) => m.count('deliveryAttempts', { type: value as (typeof eventTypes)[number], outcome: 'dead' }),
    ],
    [
      'consumers past the bound become other',
      'consumerLag',
      (m, value) => m.set('consumerLag', { consumer: value }, 1),
    ],
    [
      'unknown activities become other',
      'activityAttempts',
      (m, value) => m.count('activityAttempts', { activity: value, local: 'true', outcome: 'failed' }),
    ],
    ['unknown signals become other', 'workflowMessages', (m, value) => m.count('workflowMessages', { message: value })],
  ];
}
