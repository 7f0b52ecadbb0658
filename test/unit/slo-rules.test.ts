import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Objective } from '../../src/domain/objectives.ts';
import { alertGroups, alertNames } from '../../src/slo/alert-catalog.ts';
import { alertTests } from '../../src/slo/alert-tests.ts';
import { budgetAlerts, inAlertNames } from '../../src/slo/burn-alerts.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { duration, paceOf, recorded, scrapeJobs } from '../../src/slo/queries.ts';
import { budgetOf, recordingRules } from '../../src/slo/rules.ts';
import { BUDGET_DAYS, burnRates, windowSeconds } from '../../src/slo/windows.ts';
import { promqlNames } from '../support/promql.ts';

const { objectives } = await loadObjectives();
const alerts = alertGroups(objectives).flatMap((group) => group.alerts);
const objective: Objective = {
  name: 'order-processing',
  title: 'Orders',
  description: '',
  target: 0.999,
  windowDays: 30,
  thresholdMs: 500,
  severity: 'page',
  source: 'records',
};

describe('burn rates', () => {
  // Google's SRE workbook, chapter 5, table 5-8.
  test.each([
    ['1h', 0.02],
    ['6h', 0.05],
    ['1d', 0.1],
    ['3d', 0.1],
  ] as const)('over %s burn %d of the budget before somebody is told', (long, share) => {
    const { factor } = burnRates.find((pair) => pair.long === long) ?? { factor: 0 };
    expect((factor * windowSeconds[long]) / (BUDGET_DAYS * 86_400)).toBeCloseTo(share, 9);
  });

  test('the short window is a twelfth of the long one', () => {
    expect(burnRates.map(({ long, short }) => windowSeconds[long] / windowSeconds[short])).toEqual([12, 12, 12, 12]);
  });
});

describe('alerts', () => {
  test('an objective that pages has a page, a ticket and one for when nothing succeeds; another has a ticket', () => {
    const told = (severity: Objective['severity']) =>
      budgetAlerts({ ...objective, severity }).map(({ alert, labels }) => `${alert} ${labels.severity}`);
    expect(told('page')).toEqual([
      'OrderProcessingBudgetBurn page',
      'OrderProcessingBudgetBurn ticket',
      'OrderProcessingNothingGood page',
    ]);
    expect(told('ticket')).toEqual(['OrderProcessingBudgetBurn ticket']);
  });

  test('an objective over other than 30 days is refused: the burn rates are not for it', () => {
    expect(() => budgetAlerts({ ...objective, windowDays: 7 })).toThrow('30 days, not 7');
  });

  test('a target that a total outage could not burn fast enough is refused: its page would never come', () => {
    expect(() => budgetAlerts({ ...objective, target: 0.93 })).toThrow('14.4 times');
    expect(() => budgetAlerts({ ...objective, target: 0.931 })).not.toThrow();
    expect(() => budgetAlerts({ ...objective, severity: 'ticket', target: 0.66 })).toThrow('3 times');
  });

  test.each(alerts)('$alert names only what exists, and says what it is about', ({ expr, summary, description }) => {
    expect(promqlNames(objectives)(expr)).toEqual([]);
    expect(summary).not.toBe('');
    expect(description).not.toBe('');
  });

  test('no two are told apart by nothing: Prometheus would take one for the other', () => {
    const identities = alerts.map(({ alert, labels }) => JSON.stringify([alert, labels]));
    expect(new Set(identities).size).toBe(identities.length);
  });

  test('causes do not page', () => {
    const causes = alertGroups(objectives).find(({ name }) => name === 'evenkeel-causes')?.alerts ?? [];
    expect(new Set(causes.map(({ labels }) => labels.severity))).toEqual(new Set(['ticket']));
  });
});

describe('the tests of promtool', () => {
  const files = alertTests(objectives);
  const tests = files.flatMap((file) => file.tests);
  /** Of alerts by name, as a test's expectation has them: those that are to fire, and those that are not. */
  const fires = new Set<string>();
  const silent = new Set<string>();
  for (const { promql_expr_test: queries, alert_rule_test: rules } of tests) {
    for (const { alertname, exp_alerts: expected } of rules) (expected.length > 0 ? fires : silent).add(alertname);
    for (const { expr, exp_samples: expected } of queries) {
      const [, pattern] = /^ALERTS\{alertname=~"([^"]+)"/.exec(expr) ?? [];
      if (pattern === undefined) continue;
      const named = expected.map(({ labels }) => /alertname="(\w+)"/.exec(labels)?.[1] ?? '');
      for (const name of named) fires.add(name);
      for (const name of alertNames(objectives))
        if (new RegExp(`^(?:${pattern})$`).test(name) && !named.includes(name)) silent.add(name);
    }
  }

  test.each(alertNames(objectives))('%s is shown to fire, and not to', (name) => {
    expect(fires).toContain(name);
    // The Watchdog always fires.
    expect(silent.has(name)).toBe(name !== 'Watchdog');
  });

  test('each has a name of its own', () => {
    const names = tests.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('recording rules', () => {
  const groups = recordingRules(objectives, paceOf());

  test('a series is recorded before it is used', () => {
    const known = new Set<string>();
    for (const { record, expr } of groups.flatMap(({ rules }) => rules)) {
      const used = [...expr.matchAll(/evenkeel:[\w:]+/g)].map(([name]) => name);
      expect(used.filter((name) => !known.has(name))).toEqual([]);
      known.add(record);
    }
    expect(known).toContain(recorded.budgetLeft);
  });

  test('they name only what exists', () => {
    const unknown = groups.flatMap(({ rules }) => rules.flatMap(({ expr }) => promqlNames(objectives)(expr)));
    expect(unknown).toEqual([]);
  });

  test('ratios are made of sums, and never averaged', () => {
    expect(groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)).join('\n')).not.toMatch(/\bavg/);
  });

  test('a budget is as exact as its target, without the dust of binary fractions', () => {
    expect([0.999, 0.9995, 0.99, 0.9].map(budgetOf)).toEqual([0.001, 0.0005, 0.01, 0.1]);
  });
});

describe('time', () => {
  test('is compressed in every window and every wait', () => {
    const text = (scale: number): string =>
      JSON.stringify([recordingRules(objectives, paceOf(scale)), alertGroups(objectives, paceOf(scale))]);
    const ranges = (scale: number): string[] =>
      [...text(scale).matchAll(/\[(\w+)\]|offset (\w+)/g)].map(([, range, offset]) => range ?? offset ?? '');
    expect(new Set(ranges(60))).not.toContain('1h1ms');
    // A month is half a day.
    expect(ranges(60).filter((range) => range === '12h')).toHaveLength(
      ranges(1).filter((range) => range === '30d').length,
    );
    expect(ranges(60)).toHaveLength(ranges(1).length);
  });

  test.each([0, 0.5, 61, Number.NaN])('cannot be compressed %d times', (scale) => {
    expect(() => paceOf(scale)).toThrow(RangeError);
  });

  test('is written as Prometheus reads it, to the millisecond', () => {
    expect([0, 1, 5_000, 300_001, 5_400_000, 2_592_000_000].map(duration)).toEqual([
      '0s',
      '1ms',
      '5s',
      '5m1ms',
      '1h30m',
      '30d',
    ]);
    const lengths = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
    const parsed = (text: string): number =>
      [...text.matchAll(/(\d+)(ms|[dhms])/g)].reduce(
        (sum, [, count, unit]) => sum + Number(count) * lengths[unit as keyof typeof lengths],
        0,
      );
    fc.assert(fc.property(fc.nat(10_000_000_000), (ms) => parsed(duration(ms)) === ms));
  });
});

test('names of alerts are made from names of objectives', () => {
  expect(['order-processing', 'delivery-end-to-end'].map(inAlertNames)).toEqual([
    'OrderProcessing',
    'DeliveryEndToEnd',
  ]);
});

test('the scrape jobs that rules tell processes by are those of the configuration', async () => {
  const config = await readFile(new URL('../../ops/prometheus/prometheus.yml', import.meta.url), 'utf8');
  expect([...config.matchAll(/job_name: (\S+)/g)].map(([, job]) => job)).toEqual([...scrapeJobs]);
});
