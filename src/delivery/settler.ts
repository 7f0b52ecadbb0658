import type { DeliveryQueue, Settled, Settlement } from '../domain/delivery-ports.ts';
import { DomainFailure } from '../domain/failures.ts';
import type { Log } from '../telemetry/log.ts';
import { createBell } from './bell.ts';
import { createOutage } from './outage.ts';
import { within } from './within.ts';

/** Where somebody holds all that is left to be written. */
const HELD_WAIT_MS = 50;
/** More in one transaction would hold its locks for long, and gain little. */
const LARGEST_BATCH = 256;

export interface Outcome {
  readonly settlement: Settlement;
  /** By `performance.now()`: from then on it is another relay's, and writing it is of no use. */
  readonly keepUntil: number;
}

export interface SettlerDeps {
  readonly queue: DeliveryQueue;
  readonly log: Log;
  /** Names the relay in the log of attempts. */
  readonly relay: string;
  /** So many outcomes are written, or given up. */
  readonly released: (count: number) => void;
  readonly settled: (settlements: readonly Settlement[], settled: Settled) => void;
}

/** Writes the outcomes of attempts. */
export interface Settler {
  add(outcome: Outcome): void;
  /** Resolves once all is written, or after `ms`: what is left then is sent again by another relay. */
  close(ms: number): Promise<void>;
}

/**
 * One write at a time, with all that came in meanwhile: an outcome is written at once where little happens, and the
 * batches grow with the load. What cannot be written is kept and tried again for as long as it is this relay's.
 */
export function createSettler({ queue, log, relay, released, settled }: SettlerDeps): Settler {
  const outage = createOutage('writing what became of deliveries', log);
  const bell = createBell();
  const news = createBell();
  let waiting: Outcome[] = [];
  let largest = LARGEST_BATCH;
  const closed = new AbortController();
  let running: Promise<void> | undefined;

  function dropOverdue(): void {
    const now = performance.now();
    const overdue = waiting.filter(({ keepUntil }) => keepUntil < now);
    if (overdue.length === 0) return;
    waiting = waiting.filter(({ keepUntil }) => keepUntil >= now);
    for (const { settlement } of overdue) log.warn(idsOf(settlement), 'outcome not written in time: sent again');
    released(overdue.length);
  }

  /**
   * Returns how long to wait, in milliseconds. What cannot be written, for one row that somebody has locked or one
   * value that the store does not take, is found by halves: it goes to the end, or is given up, and stops no others.
   */
  function afterFailure(error: unknown, batch: readonly Outcome[]): number {
    largest = Math.max(1, Math.floor(batch.length / 2));
    const [only, ...others] = batch;
    if (only !== undefined && others.length === 0) {
      const isPassing = error instanceof DomainFailure && error.code === 'store_unavailable';
      waiting = [...waiting.slice(1), ...(isPassing ? [only] : [])];
      if (!isPassing) {
        log.error({ err: error, ...idsOf(only.settlement) }, 'outcome cannot be written: sent again');
        released(1);
      }
    }
    return outage.failed(error);
  }

  /** What somebody holds goes to the end, and stops no others. */
  async function afterWriting(batch: readonly Outcome[], result: Settled): Promise<void> {
    const missed = new Set(result.missed);
    const isMissed = ({ settlement }: Outcome) => missed.has(settlement.delivery.id);
    const written = batch.filter((outcome) => !isMissed(outcome));
    waiting = [...waiting.slice(batch.length), ...batch.filter(isMissed)];
    largest = Math.min(LARGEST_BATCH, largest * 2);
    outage.worked();
    if (written.length === 0) return news.wait(HELD_WAIT_MS);
    released(written.length);
    settled(
      written.map(({ settlement }) => settlement),
      result,
    );
  }

  async function flush(): Promise<void> {
    // What is read from the network in the same turn goes together.
    await new Promise(setImmediate);
    while (waiting.length > 0 && !closed.signal.aborted) {
      dropOverdue();
      const batch = waiting.slice(0, largest);
      const settlements = batch.map(({ settlement }) => settlement);
      if (batch.length === 0) continue;
      await queue.settle(settlements, relay).then(
        (result) => afterWriting(batch, result),
        (error: unknown) => bell.wait(afterFailure(error, batch)),
      );
    }
    running = undefined;
  }

  return {
    add(outcome) {
      waiting.push(outcome);
      news.ring();
      running ??= flush();
    },
    async close(ms) {
      await within(ms, running === undefined ? [] : [running]);
      closed.abort();
      bell.ring();
      news.ring();
      if (waiting.length > 0) log.warn({ outcomes: waiting.length }, 'outcomes not written: sent again');
    },
  };
}

function idsOf({ delivery: { eventId, orderId, destination } }: Settlement) {
  return { eventId, consumerId: destination.consumerId, orderId };
}
