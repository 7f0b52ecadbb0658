import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isTerminal, orderStatuses } from '../../domain/order.ts';
import { type ApiClient, ApiUnavailable, Interrupted } from '../api-client.ts';
import { forEachBounded } from '../../bounded.ts';

/** A newer API may know statuses that this command does not; they count as not at their end. */
const polledOrder = z.object({
  status: z.string(),
  attention: z.object({ step: z.string() }).nullable(),
  createdAt: z.iso.datetime(),
  confirmedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
});
type PolledOrder = z.output<typeof polledOrder>;

export interface WaitResult {
  /** Orders by status, the waiting ones included. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** Orders that wait for a person, by the step that they wait at. */
  readonly waitingForPerson: Readonly<Record<string, number>>;
  /** Orders that were on their way still when the waiting ended. */
  readonly onTheirWay: number;
  /** Of this run's new orders: finished ones per second, from the first one's creation to the last one's end. */
  readonly finishedPerSecond: number | null;
  /** Of this run's new orders, from createdAt to confirmedAt. */
  readonly confirmation: { readonly orders: number; readonly p50Ms: number; readonly p99Ms: number } | null;
  readonly stopped: string | undefined;
}

interface WaitOptions {
  readonly client: ApiClient;
  readonly newIds: readonly string[];
  readonly earlierIds: readonly string[];
  readonly signal: AbortSignal;
  readonly onSettled: (settled: number) => void;
}

const POLL_CONCURRENCY = 4;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

/** Asks for each order until all are at their end or wait for a person, the signal fires, or the API is away. */
export async function waitForAll(options: WaitOptions): Promise<WaitResult> {
  const { client, newIds, earlierIds, signal, onSettled } = options;
  const seen = new Map<string, PolledOrder>();
  let open = [...newIds, ...earlierIds];
  let pauseMs = FIRST_PAUSE_MS;
  let stopped: string | undefined;
  try {
    for (;;) {
      await forEachBounded(open, { concurrency: POLL_CONCURRENCY, signal }, async (id) => {
        seen.set(id, polledOrder.parse((await client.get(`/v1/orders/${id}`)).body));
      });
      if (signal.aborted) throw new Interrupted('interrupted');
      const left = open.filter((id) => !isSettled(seen.get(id)));
      // Whoever sees progress asks soon again; standing still, it asks less and less often.
      pauseMs = left.length < open.length ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5);
      open = left;
      onSettled(newIds.length + earlierIds.length - open.length);
      if (open.length === 0) break;
      await sleep(pauseMs, undefined, { signal }).catch(() => {
        throw new Interrupted('interrupted');
      });
    }
  } catch (error) {
    if (!(error instanceof Interrupted || error instanceof ApiUnavailable)) throw error;
    stopped = error instanceof Interrupted ? 'interrupted' : error.message;
  }
  return { ...summarize(seen, newIds), onTheirWay: open.filter((id) => !isSettled(seen.get(id))).length, stopped };
}

function isSettled(order: PolledOrder | undefined): boolean {
  return order !== undefined && (order.attention !== null || isEnd(order.status));
}

function isEnd(status: string): boolean {
  return orderStatuses.some((known) => known === status && isTerminal(known));
}

function summarize(seen: ReadonlyMap<string, PolledOrder>, newIds: readonly string[]) {
  const orders = [...seen.values()];
  const fresh = newIds.flatMap((id) => seen.get(id) ?? []);
  const finished = fresh.flatMap(({ createdAt, finishedAt }) =>
    finishedAt === null ? [] : [{ from: Date.parse(createdAt), to: Date.parse(finishedAt) }],
  );
  const confirmations = fresh
    .flatMap(({ createdAt, confirmedAt }) =>
      confirmedAt === null ? [] : [Date.parse(confirmedAt) - Date.parse(createdAt)],
    )
    .toSorted((a, b) => a - b);
  const spanMs =
    finished.reduce((latest, { to }) => Math.max(latest, to), 0) -
    finished.reduce((earliest, { from }) => Math.min(earliest, from), Number.POSITIVE_INFINITY);
  return {
    byStatus: countBy(orders.map((order) => order.status)),
    waitingForPerson: countBy(orders.flatMap(({ attention }) => (attention === null ? [] : [attention.step]))),
    finishedPerSecond: spanMs > 0 ? (finished.length * 1000) / spanMs : null,
    confirmation:
      confirmations.length === 0
        ? null
        : {
            orders: confirmations.length,
            p50Ms: percentile(confirmations, 0.5),
            p99Ms: percentile(confirmations, 0.99),
          },
  };
}

/** By the nearest rank: the smallest value that at least `share` of all do not exceed. `sorted` is not empty. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
