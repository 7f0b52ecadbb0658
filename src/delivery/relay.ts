import { hostname } from 'node:os';
import { type DeliveryPolicy, type Verdict, judge } from '../domain/delivery.ts';
import type {
  ClaimedDelivery,
  DeliveryQueue,
  DeliveryWorkflows,
  EventSender,
  Settled,
  Settlement,
} from '../domain/delivery-ports.ts';
import type { Log } from '../telemetry/log.ts';
import { createBell } from './bell.ts';
import { createOutage } from './outage.ts';
import { sendOnce } from './send-once.ts';
import { createSettler } from './settler.ts';
import { createTroubleNews } from './trouble-news.ts';
import { within } from './within.ts';

export interface RelayDeps {
  readonly queue: DeliveryQueue;
  readonly sender: EventSender;
  readonly workflows: DeliveryWorkflows;
  readonly log: Log;
}

export interface RelaySettings {
  readonly policy: DeliveryPolicy;
  /** Deliveries under way at a time. */
  readonly concurrency: number;
  readonly timeoutMs: number;
}

/** What a lease has beyond an attempt's time-out: for a sender that is slow to give up, and for writing the outcome. */
const LEASE_MARGIN_MS = 15_000;
/** A lease that has ended still holds where no other relay took the delivery. */
const KEPT_AFTER_LEASE_MS = 15_000;
/**
 * Between two looks at an empty queue: far below the 500 ms within which a first attempt is to begin. Not LISTEN: every
 * NOTIFY takes a lock at commit that all of the database share, a tax on each change of an order.
 */
const FIRST_IDLE_MS = 25;
const LONGEST_IDLE_MS = 200;
/** How long attempts under way may go on once the relay is told to stop, and writing their outcomes after that. */
const DRAIN_MS = 10_000;
const LAST_WRITES_MS = 5_000;

/**
 * Delivers until `signal` fires; then lets what is under way come to its end for 10 s, hands the rest back to be sent
 * by another relay at once, and resolves. Never rejects: whatever is away, it goes on when that is back.
 */
export async function runRelay(deps: RelayDeps, settings: RelaySettings, signal: AbortSignal): Promise<void> {
  const { queue, log } = deps;
  const relay = `${hostname()}:${process.pid}`;
  const leaseMs = settings.timeoutMs + LEASE_MARGIN_MS;
  const outage = createOutage('taking deliveries', log);
  const news = createTroubleNews(deps.workflows, log);
  const bell = createBell();
  const stop = new AbortController();
  const underWay = new Set<Promise<void>>();
  /** A delivery holds its place until its outcome is written: while that is impossible, no more are sent. */
  let free = settings.concurrency;

  const settler = createSettler({
    queue,
    log,
    relay,
    released(count) {
      free += count;
      bell.ring();
    },
    settled(settlements, written) {
      report(settlements, written, log);
      news.tell(written.troubled);
    },
  });

  async function deliver(delivery: ClaimedDelivery, keepUntil: number): Promise<void> {
    const { result, wasStopped } = await sendOnce(deps, delivery, { timeoutMs: settings.timeoutMs, stop: stop.signal });
    const verdict = wasStopped ? handBack(delivery) : judge(delivery, result, settings.policy, Math.random());
    settler.add({ settlement: { delivery, result, verdict }, keepUntil });
  }

  /** Resolves with how many deliveries were taken and begun. */
  async function take(): Promise<number> {
    const keepUntil = performance.now() + leaseMs + KEPT_AFTER_LEASE_MS;
    const claimed = await queue.claim({ limit: free, leaseMs, relay });
    free -= claimed.length;
    for (const delivery of claimed) {
      const done: Promise<void> = deliver(delivery, keepUntil).finally(() => underWay.delete(done));
      underWay.add(done);
    }
    return claimed.length;
  }

  signal.addEventListener('abort', () => bell.ring(), { once: true });
  let idleMs = FIRST_IDLE_MS;
  while (!signal.aborted) {
    if (free <= 0) {
      await bell.wait();
      continue;
    }
    try {
      const taken = await take();
      outage.worked();
      // What was settled meanwhile has rung: the next event of its order may be due.
      if (taken === 0) await bell.wait(idleMs * (0.75 + Math.random() / 4));
      idleMs = taken === 0 ? Math.min(LONGEST_IDLE_MS, idleMs * 2) : FIRST_IDLE_MS;
    } catch (error) {
      await bell.wait(outage.failed(error));
    }
  }
  await within(DRAIN_MS, underWay);
  if (underWay.size > 0) log.info({ deliveries: underWay.size }, 'stopped before these had an answer: sent again');
  stop.abort();
  await Promise.all(underWay);
  await settler.close(LAST_WRITES_MS);
  news.close();
}

/** Given up because its relay stops: nobody failed, and another relay sends it at once. */
function handBack({ strikes }: ClaimedDelivery): Verdict {
  return {
    next: 'retry',
    cause: 'connection_broken',
    strikes,
    delayMs: 0,
    throttleMs: null,
    disables: false,
    blames: 'nothing',
  };
}

/** One line for each attempt that failed, and for whatever follows from it. */
function report(settlements: readonly Settlement[], { late, troubled, disabled }: Settled, log: Log): void {
  const isLate = new Set(late);
  for (const { delivery, result, verdict } of settlements) {
    const { eventId, orderId, sequence } = delivery;
    const { cause, status, error, durationMs } = result;
    const { consumerId } = delivery.destination;
    const fields = { eventId, consumerId, orderId, sequence, cause, status, error, durationMs };
    if (isLate.has(delivery.id)) log.info(fields, 'outcome came too late: another relay had taken the delivery');
    else if (verdict.next === 'dead') log.warn({ ...fields, strikes: verdict.strikes }, 'event is a dead letter');
    else if (verdict.next === 'retry') {
      log.info({ ...fields, strikes: verdict.strikes, delayMs: verdict.delayMs }, 'delivery failed');
    }
  }
  for (const { consumerId, epoch, began } of troubled) {
    if (began) log.warn({ consumerId, epoch }, 'consumer in trouble: probed until it works');
  }
  for (const consumerId of disabled) log.warn({ consumerId }, 'consumer disabled: it answered 410 Gone');
}
