/** What the metrics from records are read from, as a test wants it. */
import { vi } from 'vitest';
import type { BreakerName } from '../../src/domain/breakers.ts';
import type { ConsumerLag, StoreFacts, TaskQueueFacts, Violations } from '../../src/domain/fact-ports.ts';
import type { SloTotal } from '../../src/domain/slo-ports.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { recordMetrics } from '../../src/telemetry/record-metrics.ts';

export const nothing: StoreFacts = {
  openOrders: {},
  openAttentions: {},
  oldestStartableMs: 0,
  oldestUnknownPaymentMs: 0,
  failedCompensations: 0,
  lags: [],
  deadLetters: {},
  parkedMessages: 0,
  connections: 7,
  connectionsMax: 97,
  storeBytes: 1e6,
};
export const sound: Violations = {
  double_charge: 0,
  overcharge: 0,
  lost_order: 0,
  charged_after_end: 0,
  stock_mismatch: 0,
  undelivered_event: 0,
};
export const idle: TaskQueueFacts = { backlog: 0, backlogAgeMs: 0, pollers: 1 };

export const lag = (consumerId: string, row: Partial<ConsumerLag> = {}): ConsumerLag => ({
  consumerId,
  state: 'enabled',
  mode: 'normal',
  lagMs: 0,
  pending: 0,
  ...row,
});
export const total = (slo: SloTotal['slo'], good: number, bad: number, judgedUntil: Date | null = null): SloTotal => ({
  slo,
  good,
  bad,
  excluded: 1,
  judgedUntil,
});

/** Sources that answer what a test puts there, or throw it. */
export function watched(storeLimitBytes?: number) {
  const answers = {
    facts: nothing as StoreFacts | Error | Promise<StoreFacts>,
    violations: sound as Violations | Error,
    queues: { workflow: idle, activity: idle } as Record<'workflow' | 'activity', TaskQueueFacts> | Error,
    totals: [] as readonly SloTotal[] | Error,
    forcedMs: {} as Partial<Record<BreakerName, number>> | Error,
    expirySeconds: 86_400 as number | Error,
  };
  const reads = { facts: 0, violations: 0 };
  const lines: string[] = [];
  const note = (_fields: object, message: string): void => void lines.push(message);
  const metrics = createMetrics(['records']);
  const answer = async <T>(given: T | Error | Promise<T>): Promise<T> => {
    const it = await given;
    if (it instanceof Error) throw it;
    return it;
  };
  const { refresh } = recordMetrics({
    facts: {
      read: () => {
        reads.facts += 1;
        return answer(answers.facts);
      },
      violations: () => {
        reads.violations += 1;
        return answer(answers.violations);
      },
    },
    taskQueues: { describe: () => answer(answers.queues) },
    slo: { totals: () => answer(answers.totals) },
    breakers: { forcedMs: () => answer(answers.forcedMs) },
    apiKeys: { nextExpirySeconds: () => answer(answers.expirySeconds) },
    metrics,
    storeLimitBytes,
    log: { info: note, warn: note, error: note },
  });
  /** The next scrape, so long after the one before. */
  const scrape = async (afterMs = 15_000): Promise<void> => {
    await vi.advanceTimersByTimeAsync(afterMs);
    const done = refresh();
    await vi.advanceTimersByTimeAsync(0);
    await done;
  };
  return { answers, reads, lines, metrics, refresh, scrape };
}
