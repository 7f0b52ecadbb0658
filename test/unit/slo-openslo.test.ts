import { describe, expect, test } from 'vitest';
import { sloNames } from '../../src/domain/objectives.ts';
import type { SourceFile } from '../../src/slo/documents.ts';
import { loadObjectives, readObjectiveFiles } from '../../src/slo/files.ts';
import { trafficWarnings } from '../../src/slo/lint.ts';
import { ObjectivesError, parseObjectives, thresholdsOf } from '../../src/slo/openslo.ts';

const shipped = await readObjectiveFiles();

/** The files that come with the program, one of them changed. */
function changed(name: string, from: string | RegExp, to: string): readonly SourceFile[] {
  return shipped.map((file) => {
    if (file.name !== name) return file;
    const text = file.text.replace(from, to);
    if (text === file.text) throw new Error(`${name} has no ${String(from)}`);
    return { name, text };
  });
}

/** What is said about files that cannot be used. */
function problemsOf(files: readonly SourceFile[]): string {
  try {
    parseObjectives(files);
  } catch (error) {
    if (error instanceof ObjectivesError) return error.message;
    throw error;
  }
  return '';
}

const text = (name: string): string => shipped.find((file) => file.name === name)?.text ?? '';

describe('the objectives that come with the program', () => {
  test('are one for each that is measured, in a stable order, with what they allow', async () => {
    const { objectives, sla } = await loadObjectives();
    expect(objectives.map(({ name }) => name)).toEqual(sloNames);
    expect(
      objectives.map(({ target, thresholdMs, severity, source }) => [target, thresholdMs, severity, source]),
    ).toEqual([
      [0.999, 500, 'page', 'records'],
      [0.99, 4 * 3_600_000, 'ticket', 'records'],
      [0.999, 500, 'page', 'records'],
      [0.999, 30_000, 'page', 'records'],
      [0.99, 30_000, 'ticket', 'records'],
      [0.999, null, 'page', 'process'],
      [0.99, 60_000, 'ticket', 'records'],
    ]);
    expect(sla.commitments.map(({ slo }) => slo)).toEqual([
      'order-processing',
      'delivery-platform',
      'api-availability',
    ]);
    expect(thresholdsOf(objectives)).toMatchObject({ 'order-processing': 500, 'consumer-lag': 60_000 });
    expect(Object.keys(thresholdsOf(objectives))).toHaveLength(sloNames.length - 1);
  });

  test('do not depend on the order of their files', () => {
    expect(parseObjectives(shipped.toReversed())).toEqual(parseObjectives(shipped));
  });

  test('may go without a promise', () => {
    expect(parseObjectives(shipped.filter(({ name }) => name !== 'sla.yaml')).sla.commitments).toEqual([]);
  });
});

describe('a file is refused, with its place and what to do,', () => {
  const slo = 'order-processing.yaml';
  test.each<[string, string, string | RegExp, string, string]>([
    ['that is no YAML', slo, 'metadata:', 'metadata: [', 'order-processing.yaml:4: is not YAML: '],
    [
      'that no ticket could be made of',
      'consumer-lag.yaml',
      'target: 0.99',
      'target: 0.6',
      'target: must be above 66.6',
    ],
    ['of another version', slo, 'openslo/v1', 'openslo/v2alpha', ':1: apiVersion: expected one of "openslo/v1"'],
    ['of another kind', slo, 'kind: SLO', 'kind: AlertPolicy', ':2: kind: expected one of "Service"'],
    ['without a target', slo, '      target: 0.999', '', 'objectives[0].target: must be a number such as 0.999'],
    [
      'with a target in percent',
      slo,
      'target: 0.999',
      'targetPercent: 99.9',
      'targetPercent: is no field that is read',
    ],
    ['that allows no failure', slo, 'target: 0.999', 'target: 1', 'objectives[0].target: must be below 1'],
    ['that aims at nothing', slo, 'target: 0.999', 'target: 0', 'objectives[0].target: must be above 0; got 0'],
    ['that even an outage could not burn', slo, 'target: 0.999', 'target: 0.93', 'target: must be above 93.055556 %'],
    [
      'finer than budgets are',
      slo,
      'target: 0.999',
      'target: 0.9999999',
      'must have at most six decimals; got 0.9999999',
    ],
    ['over another window', slo, 'duration: 30d', 'duration: 28d', 'timeWindow[0].duration: must be 30d'],
    ['by the calendar', slo, 'isRolling: true', 'isRolling: false', 'timeWindow[0].isRolling: must be true'],
    ['by slices of time', slo, 'Occurrences', 'Timeslices', 'spec.budgetingMethod: must be Occurrences'],
    ['with gauges', slo, 'counter: true', 'counter: false', 'ratioMetric.counter: must be true'],
    ['from elsewhere', slo, 'type: Prometheus', 'type: Datadog', 'good.metricSource.type: must be Prometheus'],
    ['with an unknown unit', slo, '500ms', '500 milliseconds', 'evenkeel.dev/threshold: must be a whole number with'],
    ['with a threshold of nothing', slo, '500ms', '0s', 'evenkeel.dev/threshold: must be a whole number'],
    ['without a threshold', slo, /.*threshold.*\n/, '', 'evenkeel.dev/threshold: is missing; say how long'],
    [
      'with a slip in a key of ours',
      slo,
      '/team: ',
      '/teem: x\n    evenkeel.dev/team: ',
      'evenkeel.dev/teem: means nothing to Evenkeel',
    ],
    ['for nobody to be told', slo, 'severity: page', 'severity: shout', 'evenkeel.dev/severity: expected one of'],
    [
      'that nothing measures',
      slo,
      'name: order-processing',
      'name: order-joy',
      ":4: metadata.name: nothing measures 'order-joy'",
    ],
    ['for no service', slo, 'service: orders', 'service: order', "spec.service: there is no Service 'order'"],
    ['with a threshold that no bucket ends at', slo, '500ms', '400ms', 'must be a bucket of evenkeel_order_processing'],
    [
      'with an unknown metric',
      slo,
      'slo_good_events',
      'slo_nice_events',
      'there is no metric evenkeel_slo_nice_events_total',
    ],
    [
      'with a metric that is no counter',
      slo,
      'slo_good_events_total',
      'open_orders',
      'evenkeel_open_orders is a gauge',
    ],
    ['with an unknown label', slo, '{slo=', '{name=', 'evenkeel_slo_good_events_total has no label name'],
    ['with a value that never is', slo, '{slo="order-processing"}', '{slo="orders"}', 'is never "orders"'],
    [
      'of another objective',
      slo,
      '{slo="order-processing"}',
      '{slo="consumer-lag"}',
      'must select slo="order-processing"',
    ],
    [
      'with other PromQL',
      slo,
      'max(evenkeel_slo_good',
      'max by (slo) (evenkeel_slo_good',
      'query: must be max(metric{',
    ],
    ['that adds up what is alike', slo, 'max(evenkeel_slo_good', 'sum(evenkeel_slo_good', 'must take the max'],
    ['that counts good ones as all', slo, 'slo_events_total', 'slo_good_events_total', 'counts what total does not'],
    [
      'that counts others as good',
      slo,
      'slo_good_events_total',
      'slo_excluded_events_total',
      'counts what total does not',
    ],
    [
      'that is measured elsewhere',
      slo,
      'source: records',
      'source: process',
      'is counted from records, and evenkeel.dev/source',
    ],
    [
      'with a threshold where there is none',
      'api-availability.yaml',
      '/severity',
      '/threshold: 5s\n    evenkeel.dev/severity',
      'means nothing here',
    ],
    [
      'that takes one process for all',
      'api-availability.yaml',
      'sum(',
      'max(',
      'must take the sum: every process counts its own',
    ],
  ])('%s', (_, name, from, to, problem) => {
    const said = problemsOf(changed(name, from, to));
    expect(said).toContain('these objectives cannot be used:\n');
    expect(said).toContain(problem);
    expect(said).toMatch(new RegExp(`^ {2}${name}:\\d+: `, 'm'));
  });

  test('with every problem of every file at once', () => {
    const files = changed('order-processing.yaml', 'target: 0.999', 'target: 1').map((file) =>
      file.name === 'consumer-lag.yaml'
        ? { ...file, text: file.text.replace('60s', '60').replace('0.99', '-1') }
        : file,
    );
    expect(
      problemsOf(files)
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(' ')[1]),
    ).toEqual([
      'metadata.annotations.evenkeel.dev/threshold:',
      'spec.objectives[0].target:',
      'spec.objectives[0].target:',
    ]);
  });

  test('that stands under another name', () => {
    const files = shipped.map((file) =>
      file.name === 'human-decision.yaml' ? { ...file, name: 'people.yaml' } : file,
    );
    expect(problemsOf(files)).toContain('people.yaml:4: metadata.name: must stand in human-decision.yaml');
  });
});

describe('the objectives as a whole are refused', () => {
  test('where one that is measured is missing', () => {
    const files = shipped.filter(({ name }) => name !== 'consumer-lag.yaml');
    expect(problemsOf(files)).toContain(
      'consumer-lag.yaml:1: is missing: consumer-lag is measured and needs an objective',
    );
  });

  test('where one is there twice', () => {
    const twice = `${text('consumer-lag.yaml')}---\n${text('consumer-lag.yaml')}`;
    const files = shipped.map((file) => (file.name === 'consumer-lag.yaml' ? { ...file, text: twice } : file));
    expect(problemsOf(files)).toContain('has an objective already, in consumer-lag.yaml:4; keep one');
  });
});

describe('a promise is refused', () => {
  test.each<[string, string | RegExp, string, string]>([
    [
      'that is as strict as the objective',
      /target: 0.995\n +credits:\n +- below: 0.995/,
      'target: 0.999\n      credits:\n        - below: 0.999',
      'spec.commitments[0].target: promises 99.9 % where the objective is 99.9 %: an SLA must be looser',
    ],
    ['about what is not measured', 'order-processing', 'order-joy', 'commitments[0].objective: '],
    [
      'that is there twice',
      'objective: delivery-platform',
      'objective: order-processing',
      'order-processing is promised twice',
    ],
    [
      'whose credits begin below its target',
      'below: 0.995',
      'below: 0.994',
      'credits[0].below: must be the target, 0.995, at first',
    ],
    ['whose credits rise', 'below: 0.99\n', 'below: 0.996\n', 'credits[1].below: must be below the one before it'],
    [
      'whose credits fall where it is worse',
      'percent: 25',
      'percent: 5',
      'credits[1].percent: must be above the one before it',
    ],
    ['for another period', 'calendar-month', 'calendar-week', 'spec.period: must be calendar-month'],
  ])('%s', (_, from, to, problem) => {
    expect(problemsOf(changed('sla.yaml', from, to))).toContain(problem);
  });

  test('that is not the only one', () => {
    const files = [...shipped, { name: 'sla-2.yaml', text: text('sla.yaml') }];
    expect(problemsOf(files)).toContain('sla-2.yaml:3: is a second SLA; put all in one');
  });
});

describe('a target is warned of', () => {
  const [name, target] = ['order-processing', 0.999] as const;
  test('where the traffic allows no bad event at all, with what it would take', () => {
    expect(trafficWarnings([{ name, target }], 999)).toEqual([
      'order-processing: 99.9 % of 999 events a month allows no bad one at all; it takes 1,000 to allow one',
    ]);
    expect(trafficWarnings([{ name, target: 0.9999 }], 1_000)[0]).toContain('99.99 % of 1,000 events a month');
  });

  test('and not where it allows one', () => {
    expect(trafficWarnings([{ name, target }], 1_000)).toEqual([]);
  });
});
