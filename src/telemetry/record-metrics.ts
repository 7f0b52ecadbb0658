import type { ApiKeys } from '../domain/access-ports.ts';
import { type BreakerStore, breakerNames } from '../domain/breakers.ts';
import { consumerStates } from '../domain/consumers.ts';
import {
  type ConsumerLag,
  type Facts,
  type StoreFacts,
  type TaskQueues,
  type Violations,
  taskKinds,
  violationKinds,
} from '../domain/fact-ports.ts';
import { orderStatuses } from '../domain/order.ts';
import type { SloRecords, SloTotal } from '../domain/slo-ports.ts';
import { stepNames } from '../domain/steps.ts';
import type { Log } from './log.ts';
import { OTHER } from './metric-labels.ts';
import type { Metrics } from './metrics.ts';
import { createSource } from './source.ts';

export interface RecordMetricsDeps {
  readonly facts: Facts;
  readonly taskQueues: TaskQueues;
  readonly slo: Pick<SloRecords, 'totals'>;
  readonly breakers: Pick<BreakerStore, 'forcedMs'>;
  readonly apiKeys: Pick<ApiKeys, 'nextExpirySeconds'>;
  readonly metrics: Metrics;
  /** Size that the database may have, in bytes; undefined if nobody said. */
  readonly storeLimitBytes: number | undefined;
  readonly log: Log;
}

/** However many scrape, the sources are asked no more often. */
const AT_MOST_EVERY_MS = 1_000;
const VIOLATIONS_EVERY_MS = 60_000;
const EXPIRY_EVERY_MS = 60_000;
/** Consumers that are shown by name; the others are one. */
const NAMED = 20;

/**
 * Brings the metrics that come from records up to date, to be called before each scrape: resolves within two seconds,
 * whatever is away, and never rejects. Gauges that nobody could read for thirty seconds are taken away, violations after
 * two and a half minutes; totals keep their last value; the time of the last answer stands still.
 */
export function recordMetrics(deps: RecordMetricsDeps): { refresh(): Promise<void> } {
  const { apiKeys, breakers, facts, log, metrics, slo, storeLimitBytes = 0, taskQueues } = deps;
  const sources = [
    createSource('facts of the records', log, {
      read: () => facts.read(),
      show(seen) {
        showFacts(metrics, seen);
        showConsumers(metrics, seen.lags);
        metrics.set('storeBytesMax', {}, storeLimitBytes);
        metrics.set('factsReadAt', { source: 'postgres' }, Date.now() / 1_000);
      },
      clear: () => fromFacts.forEach((key) => metrics.clear(key)),
    }),
    createSource('violations of the ledger', log, {
      everyMs: VIOLATIONS_EVERY_MS,
      read: () => facts.violations(),
      show(seen) {
        showViolations(metrics, seen);
        metrics.set('factsReadAt', { source: 'violations' }, Date.now() / 1_000);
      },
      clear: () => metrics.clear('violations'),
    }),
    createSource('facts of the task queue', log, {
      read: () => taskQueues.describe(),
      show(seen) {
        for (const kind of taskKinds) {
          metrics.set('taskQueueBacklog', { kind }, seen[kind].backlog);
          metrics.set('taskQueueBacklogAge', { kind }, seen[kind].backlogAgeMs / 1_000);
          metrics.set('taskQueuePollers', { kind }, seen[kind].pollers);
        }
        metrics.set('factsReadAt', { source: 'temporal' }, Date.now() / 1_000);
      },
      clear: () => fromTaskQueue.forEach((key) => metrics.clear(key)),
    }),
    createSource('what operators forced', log, {
      read: () => breakers.forcedMs(),
      show(forcedMs) {
        for (const breaker of breakerNames) {
          metrics.set('breakerForcedSeconds', { breaker }, (forcedMs[breaker] ?? 0) / 1_000);
        }
      },
      clear: () => metrics.clear('breakerForcedSeconds'),
    }),
    createSource('expiry of the API keys', log, {
      everyMs: EXPIRY_EVERY_MS,
      read: () => apiKeys.nextExpirySeconds(),
      show: (seconds) => metrics.set('keyExpirySeconds', {}, seconds),
      clear: () => metrics.clear('keyExpirySeconds'),
    }),
    createSource('totals of the objectives', log, {
      read: () => slo.totals(),
      show: (totals) => showTotals(metrics, totals),
      clear: () => metrics.clear('sloJudgedUntil'),
    }),
  ];
  let last: { readonly atMs: number; readonly done: Promise<void> } | undefined;
  return {
    refresh() {
      const atMs = performance.now();
      if (last === undefined || atMs - last.atMs >= AT_MOST_EVERY_MS) {
        last = { atMs, done: Promise.all(sources.map((source) => source.refresh())).then(() => undefined) };
      }
      return last.done;
    },
  };
}

const fromFacts = [
  'openOrders',
  'openAttentions',
  'oldestStartable',
  'oldestUnknownPayment',
  'failedCompensations',
  'consumerLag',
  'consumerPending',
  'consumers',
  'deadLetters',
  'parkedMessages',
  'storeConnections',
  'storeConnectionsMax',
  'storeBytes',
  'storeBytesMax',
] as const;
const fromTaskQueue = ['taskQueueBacklog', 'taskQueueBacklogAge', 'taskQueuePollers'] as const;

/** Zeros too: what is there no more must not be shown as it was. */
function showFacts(metrics: Metrics, facts: StoreFacts): void {
  for (const status of orderStatuses) metrics.set('openOrders', { status }, facts.openOrders[status] ?? 0);
  for (const step of stepNames) metrics.set('openAttentions', { step }, facts.openAttentions[step] ?? 0);
  metrics.set('oldestStartable', {}, facts.oldestStartableMs / 1_000);
  metrics.set('oldestUnknownPayment', {}, facts.oldestUnknownPaymentMs / 1_000);
  metrics.set('failedCompensations', {}, facts.failedCompensations);
  metrics.set('deadLetters', {}, sum(Object.values(facts.deadLetters)));
  metrics.set('parkedMessages', {}, facts.parkedMessages);
  metrics.set('storeConnections', {}, facts.connections);
  metrics.set('storeConnectionsMax', {}, facts.connectionsMax);
  metrics.set('storeBytes', {}, facts.storeBytes);
}

function showViolations(metrics: Metrics, counts: Violations): void {
  for (const kind of violationKinds) metrics.set('violations', { kind }, counts[kind]);
}

/** The worst by name, the same for lag and number: by lag, which only enabled ones have, then by what waits. */
function showConsumers(metrics: Metrics, lags: readonly ConsumerLag[]): void {
  for (const state of consumerStates) {
    metrics.set('consumers', { state }, lags.filter((lag) => lag.state === state && !inTrouble(lag)).length);
  }
  metrics.set('consumers', { state: 'in_trouble' }, lags.filter(inTrouble).length);

  metrics.clear('consumerLag');
  metrics.clear('consumerPending');
  const worstFirst = lags.toSorted(
    (one, other) =>
      agingMs(other) - agingMs(one) || other.pending - one.pending || (one.consumerId < other.consumerId ? -1 : 1),
  );
  for (const lag of worstFirst.slice(0, NAMED)) {
    const labels = { consumer: lag.consumerId };
    if (lag.state === 'enabled') metrics.set('consumerLag', labels, lag.lagMs / 1_000);
    metrics.set('consumerPending', labels, lag.pending);
  }
  const others = worstFirst.slice(NAMED);
  if (others.length === 0) return;
  metrics.set('consumerLag', { consumer: OTHER }, Math.max(...others.map(agingMs)) / 1_000);
  metrics.set('consumerPending', { consumer: OTHER }, sum(others.map(({ pending }) => pending)));
}

function inTrouble({ state, mode }: ConsumerLag): boolean {
  return state === 'enabled' && mode !== 'normal';
}

/** What is held for a consumer that is paused or disabled does not age. */
function agingMs({ state, lagMs }: ConsumerLag): number {
  return state === 'enabled' ? lagMs : 0;
}

function showTotals(metrics: Metrics, totals: readonly SloTotal[]): void {
  for (const { slo, good, bad, excluded } of totals) {
    metrics.countTo('sloGood', { slo }, good);
    metrics.countTo('sloEvents', { slo }, good + bad);
    metrics.countTo('sloExcluded', { slo }, excluded);
  }
  const judged = totals.flatMap(({ judgedUntil }) => (judgedUntil === null ? [] : [judgedUntil.getTime()]));
  if (judged.length > 0) metrics.set('sloJudgedUntil', {}, Math.min(...judged) / 1_000);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
