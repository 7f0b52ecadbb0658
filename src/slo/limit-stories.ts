/** For each alert that has a limit: a value that just keeps it, one that just does not, and one that does again. */
import type { Objective } from '../domain/objectives.ts';
import type { MetricKey } from '../telemetry/metric-names.ts';
import { alertGroups, ruleOf } from './alert-catalog.ts';
import type { AlertRule } from './alert-rule.ts';
import { countersOf } from './budget-stories.ts';
import { fired, type PromtoolTest, seriesOf, type Shown, stretches, type TestFile } from './promtool.ts';
import { scrapeJobs, select } from './queries.ts';

const DAY = 86_400;
/** The minutes of each stretch: more than any alert waits. */
const STRETCH = 20;
const [KEPT, BROKEN, KEPT_AGAIN] = [STRETCH - 1, 2 * STRETCH - 1, 3 * STRETCH - 1];

interface LimitCase {
  readonly alert: string;
  /** Of the rules of that name, the one with these labels. */
  readonly own?: Readonly<Record<string, string>>;
  readonly series: readonly { readonly series: string; readonly values: string }[];
  readonly fires: Shown;
}

export function limitTests(objectives: readonly Objective[]): readonly TestFile[] {
  const rules = alertGroups(objectives).flatMap(({ alerts }) => alerts);
  const cases = [...gauges, ...clocks, ...targets, ...counts(objectives)];
  return [{ name: 'limits', evaluationInterval: '1m', tests: [limits(rules, cases)] }];
}

/** Everything at once, in three stretches. Where an alert waits, it does not fire a minute before. */
function limits(rules: readonly AlertRule[], cases: readonly LimitCase[]): PromtoolTest {
  const names = [...new Set(cases.map(({ alert }) => alert))];
  const expected = (name: string, broken: boolean) =>
    cases.flatMap(({ alert, own = {}, fires }) =>
      broken && alert === name ? [[ruleOf(rules, alert, own), fires] as const] : [],
    );
  return {
    name: 'what just keeps its limit, breaks it and keeps it again fires while it is broken, and says by how much',
    interval: '1m',
    input_series: cases.flatMap(({ series }) => series),
    promql_expr_test: [],
    alert_rule_test: names.flatMap((name) => {
      const wait = ruleOf(rules, name).forSeconds ?? 0;
      return [
        fired(KEPT, name, []),
        ...(wait > 0 ? [fired(KEPT + wait / 60, name, [])] : []),
        fired(BROKEN, name, expected(name, true)),
        fired(KEPT_AGAIN, name, []),
      ];
    }),
  };
}

function gauge(
  alert: string,
  key: MetricKey,
  labels: Readonly<Record<string, string>>,
  values: readonly [kept: number, broken: number, keptAgain: number],
  fires: Shown,
): LimitCase {
  const [kept, broken, again] = values;
  const values3 = stretches([kept, STRETCH], [broken, STRETCH], [again, STRETCH]);
  return { alert, series: [{ series: seriesOf(key, labels), values: values3 }], fires };
}

function steady(key: MetricKey, value: number) {
  return { series: seriesOf(key), values: stretches([value, 3 * STRETCH]) };
}

const gauges: readonly LimitCase[] = [
  gauge('LedgerViolation', 'violations', { kind: 'double_charge' }, [0, 1, 0], {
    labels: { kind: 'double_charge' },
    shown: ['double_charge', '1', 'double_charge'],
  }),
  gauge('OrderNotStarted', 'oldestStartable', {}, [120, 121, 0], { shown: ['2m 1s'] }),
  gauge('PaymentOutcomeUnknown', 'oldestUnknownPayment', {}, [900, 901, 0], { shown: ['15m 1s'] }),
  gauge('CompensationFailed', 'failedCompensations', {}, [0, 1, 0], { shown: ['1'] }),
  gauge('NoWorkers', 'taskQueuePollers', { kind: 'workflow' }, [1, 0, 1], {
    labels: { kind: 'workflow' },
    shown: ['workflow'],
  }),
  gauge('TaskQueueBacklogOld', 'taskQueueBacklogAge', { kind: 'activity' }, [60, 61, 0], {
    labels: { kind: 'activity' },
    shown: ['activity', '1m 1s'],
  }),
  gauge('ParkedOrderMessages', 'parkedMessages', {}, [0, 1, 0], { shown: ['1'] }),
  gauge('ConsumerInTrouble', 'consumers', { state: 'in_trouble' }, [0, 1, 0], { shown: ['1'] }),
  gauge('ConsumerDisabled', 'consumers', { state: 'disabled' }, [0, 1, 0], { shown: ['1'] }),
  gauge('BreakerOpen', 'breakerState', { breaker: 'carrier', state: 'open' }, [0, 1, 0], {
    labels: { breaker: 'carrier' },
    shown: ['carrier', 'carrier'],
  }),
  gauge('BreakerForced', 'breakerForcedSeconds', { breaker: 'risk' }, [DAY, DAY + 1, 0], {
    labels: { breaker: 'risk' },
    shown: ['risk', '1d 0h 0m 1s', 'risk'],
  }),
  gauge('ApiKeyExpiring', 'keyExpirySeconds', {}, [14 * DAY, 14 * DAY - 1, 365 * DAY], { shown: ['13d 23h 59m 59s'] }),
  gauge('CertificateExpiring', 'certificateExpirySeconds', { connection: 'temporal' }, [14 * DAY, -1, 90 * DAY], {
    labels: { connection: 'temporal' },
    shown: ['temporal', 'temporal', '-1s'],
  }),
  withMore(gauge('StoreConnectionsNearlyExhausted', 'storeConnections', {}, [85, 86, 10], { shown: ['86%'] }), [
    steady('storeConnectionsMax', 100),
  ]),
  withMore(gauge('StoreNearlyFull', 'storeBytes', {}, [80, 81, 10], { shown: ['81%'] }), [
    steady('storeBytesMax', 100),
  ]),
];

function withMore(limit: LimitCase, series: LimitCase['series']): LimitCase {
  return { ...limit, series: [...limit.series, ...series] };
}

/** A moment that keeps up with the clock 120 seconds late, then 121, then at once. */
function lateClock(series: string) {
  const late = (seconds: number, from: number): string => `${from * 60 - seconds}+60x${STRETCH - 1}`;
  return { series, values: [late(120, 0), late(121, STRETCH), late(0, 2 * STRETCH)].join(' ') };
}

const clocks: readonly LimitCase[] = [
  { alert: 'SliJudgementStalled', series: [lateClock(seriesOf('sloJudgedUntil'))], fires: { shown: ['2m 1s'] } },
  ...['postgres', 'violations', 'temporal'].map((source) => ({
    alert: 'FactsStale',
    own: { source },
    // The other facts are there; one that is missing would be out of date as well.
    series: [
      lateClock(seriesOf('factsReadAt', { source })),
      ...(source === 'postgres' ? [steady('deadLetters', 0)] : []),
    ],
    fires: {},
  })),
];

/** Of two targets one is down, then both are. */
const targets: readonly LimitCase[] = scrapeJobs.map((job) => ({
  alert: 'MetricsTargetDown',
  own: { job },
  series: [
    { series: select('up', { job, instance: 'one' }), values: stretches([1, STRETCH], [0, STRETCH], [1, STRETCH]) },
    { series: select('up', { job, instance: 'two' }), values: stretches([0, 3 * STRETCH]) },
  ],
  fires: {},
}));

/** As many good events as events, then one more. */
function counts(objectives: readonly Objective[]): LimitCase[] {
  return objectives.map((objective) => {
    const { good, events } = countersOf(objective);
    return {
      alert: 'SliGoodExceedsTotal',
      own: { slo: objective.name },
      series: [
        { series: good, values: stretches([100, STRETCH], [101, STRETCH], [102, STRETCH]) },
        { series: events, values: stretches([100, 2 * STRETCH], [102, STRETCH]) },
      ],
      fires: { shown: ['101'] },
    };
  });
}
