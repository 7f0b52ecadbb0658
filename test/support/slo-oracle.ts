/** What each order, attention and delivery of a history is worth, counted one by one in plain TypeScript. */
import type { Thresholds } from '../../src/domain/objectives.ts';
import type { AttemptRow, ChangeRow, ConsumerHistory, DeliveryRow, EventRow, History } from './slo-histories.ts';

export interface Verdict {
  readonly slo: string;
  readonly due: number;
  readonly verdict: 'good' | 'bad' | 'excluded';
}

export function verdictsOf(history: History, thresholds: Thresholds): Verdict[] {
  return [...ordersOf(history, thresholds), ...attentionsOf(history, thresholds), ...eventsOf(history, thresholds)];
}

function ordersOf({ orders, events }: History, thresholds: Thresholds): Verdict[] {
  return orders.map((order) => {
    const due = order.at + thresholds['order-processing'];
    const wasGivenUp = order.reason?.startsWith('given_up') === true;
    for (const { type, at } of eventsOfOrder(events, order.id)) {
      if (at > due || type.includes('attention_opened')) break;
      const decides =
        type.includes('confirmed') ||
        type.includes('review_started') ||
        (type.includes('rejected') && !wasGivenUp) ||
        (type.includes('cancelled') && !wasGivenUp && order.cancelRequestedAt !== null);
      if (decides) return { slo: 'order-processing', due, verdict: 'good' };
    }
    return { slo: 'order-processing', due, verdict: 'bad' };
  });
}

function eventsOfOrder(events: readonly EventRow[], orderId: string): EventRow[] {
  return events
    .filter((event) => event.orderId === orderId && event.replaces === null)
    .toSorted((one, other) => one.sequence - other.sequence);
}

function attentionsOf({ attentions }: History, thresholds: Thresholds): Verdict[] {
  const slo = 'human-decision';
  return attentions.map(({ openedAt, closedAt, by }) => {
    const due = openedAt + thresholds[slo];
    if (closedAt === null || closedAt > due) return { slo, due, verdict: 'bad' };
    return { slo, due: closedAt, verdict: by === 'decision' ? 'good' : 'excluded' };
  });
}

/** A delivery's first life. */
function lifeOf(delivery: DeliveryRow) {
  const endedAt = delivery.deadSince ?? delivery.settledAt ?? Infinity;
  const isDelivered = delivery.status === 'delivered' && delivery.deadSince === null;
  return { ...delivery, endedAt, deliveredAt: isDelivered ? endedAt : Infinity };
}
type Life = ReturnType<typeof lifeOf>;

function eventsOf(history: History, thresholds: Thresholds): Verdict[] {
  const dispatchMs = thresholds['delivery-dispatch'];
  const platformMs = thresholds['delivery-platform'];
  const endMs = thresholds['delivery-end-to-end'];
  const originals = history.events.filter(({ replaces }) => replaces === null);
  const isOriginal = new Set(originals.map(({ id }) => id));
  const lives = history.deliveries.filter(({ eventId }) => isOriginal.has(eventId)).map(lifeOf);
  const consumers = new Map(history.consumers.map((consumer) => [consumer.id, new Past(consumer, history)]));
  const pastOf = (id: string): Past => {
    const past = consumers.get(id);
    if (past === undefined) throw new Error(`no consumer ${id}`);
    return past;
  };
  return originals.flatMap((event): Verdict[] => {
    const due = event.at + Math.max(dispatchMs, platformMs, endMs);
    const own = lives.filter(({ eventId }) => eventId === event.id);
    const each = own.flatMap((life): Verdict[] => {
      const past = pastOf(life.consumerId);
      const queue = queueOf(life, lives);
      return [
        { slo: 'delivery-dispatch', due, verdict: dispatchOf(life, queue, past, { due, dispatchMs }) },
        {
          slo: 'delivery-end-to-end',
          due,
          verdict:
            life.deliveredAt <= event.at + endMs
              ? 'good'
              : past.isHeldUp(event.at, event.at + endMs)
                ? 'excluded'
                : 'bad',
        },
      ];
    });
    if (own.length === 0) return [];
    const faults = own.map((life) =>
      faultOf(life, queueOf(life, lives), pastOf(life.consumerId), event.at + platformMs),
    );
    return [...each, { slo: 'delivery-platform', due, verdict: platformOf(faults) }];
  });
}

/** What is to go to the same consumer, of the same order, up to this one. */
function queueOf(life: Life, lives: readonly Life[]): Life[] {
  return lives
    .filter((one) => one.orderId === life.orderId && one.consumerId === life.consumerId)
    .filter(({ sequence }) => sequence <= life.sequence)
    .toSorted((one, other) => one.sequence - other.sequence);
}

function dispatchOf(
  life: Life,
  queue: readonly Life[],
  past: Past,
  { due, dispatchMs }: { due: number; dispatchMs: number },
): Verdict['verdict'] {
  const eligibleAt = Math.max(life.at, ...queue.slice(0, -1).map(({ endedAt }) => endedAt));
  const begun = life.firstAttemptAt ?? Infinity;
  if (begun <= life.at + dispatchMs || begun <= Math.min(eligibleAt + dispatchMs, due)) return 'good';
  const late = eligibleAt + dispatchMs;
  if (late > due) return 'excluded';
  const isHindered =
    past.isHeldUp(eligibleAt, late, due) ||
    past.isTroubled(eligibleAt, late) ||
    past.isFull(late) ||
    past.isThrottled(eligibleAt, late);
  return isHindered ? 'excluded' : 'bad';
}

type Fault = 'there' | 'held' | 'failed' | 'ours';

function faultOf(life: Life, queue: readonly Life[], past: Past, due: number): Fault {
  if (life.deliveredAt <= due) return 'there';
  if (past.isHeldUp(life.at, due)) return 'held';
  if (life.endedAt <= due) return 'failed';
  const head = queue.find(({ endedAt }) => endedAt > due);
  if (head === undefined) throw new Error('it stands in its own way at least');
  const tried = past.attempts.filter((a) => a.deliveryId === head.id && a.startedAt <= due);
  if (tried.some((a) => a.cause !== null || a.startedAt + a.durationMs > due)) return 'failed';
  const isUnderWay = head.leaseUntil !== null && head.leaseUntil - 15_000 > due;
  if (isUnderWay && (head.firstAttemptAt ?? Infinity) <= due) return 'failed';
  const middle = life.at + (due - life.at) / 2;
  return past.isTroubled(life.at, due) || past.isFull(middle) || past.isThrottled(life.at, due) ? 'failed' : 'ours';
}

function platformOf(faults: readonly Fault[]): Verdict['verdict'] {
  if (faults.includes('ours')) return 'bad';
  const asked = faults.filter((fault) => fault !== 'held');
  const failed = asked.filter((fault) => fault === 'failed').length;
  if (asked.length >= 3 && failed >= 2 && failed / asked.length > 0.3) return 'bad';
  return failed < asked.length ? 'good' : 'excluded';
}

/** What became of a consumer, moment by moment. */
class Past {
  readonly attempts: readonly AttemptRow[];
  readonly #consumer: ConsumerHistory;
  readonly #changes: readonly ChangeRow[];
  readonly #deliveries: readonly DeliveryRow[];

  constructor(consumer: ConsumerHistory, history: History) {
    this.#consumer = consumer;
    this.#changes = consumer.changes;
    this.#deliveries = history.deliveries.filter(({ consumerId }) => consumerId === consumer.id);
    this.attempts = history.attempts.filter(({ consumerId }) => consumerId === consumer.id);
  }

  isHeld(from: number, to: number): boolean {
    const isHeld = ({ state, isDeleted }: ChangeRow): boolean => state !== 'enabled' || isDeleted;
    const last = this.#changes.findLast(({ at }) => at <= from);
    return (last !== undefined && isHeld(last)) || this.#changes.some((k) => k.at > from && k.at <= to && isHeld(k));
  }

  /** Held, or sent what had been held before: until then some of it was first sent, or it still waits for that. */
  isHeldUp(from: number, to: number, until = to): boolean {
    if (this.isHeld(from, to)) return true;
    const resumed = this.#changes.filter(
      ({ at, action }) => at <= to && (action === 'resumed' || action === 'enabled'),
    );
    return resumed.some(({ at }) =>
      this.#deliveries.some((p) => {
        if (p.at > at) return false;
        if (p.status === 'pending' && p.firstAttemptAt === null && !p.isHeldBack) return true;
        if (p.firstAttemptAt === null || p.firstAttemptAt < Math.max(from, at)) return false;
        return this.attempts.some((a) => a.deliveryId === p.id && a.startedAt >= from && a.startedAt <= until);
      }),
    );
  }

  isTroubled(from: number, to: number): boolean {
    const marks = new Set(['created', 'enabled', 'trouble_began', 'trouble_ended', 'deleted']);
    const index = this.#changes.findLastIndex(({ at, action }) => at <= from && marks.has(action));
    const last = this.#changes[index];
    if (last?.action === 'trouble_began') return true;
    if (last?.action === 'enabled' && this.#cameBackInTrouble(index)) return true;
    return this.#changes.some(({ at, action }) => at > from && at <= to && action === 'trouble_began');
  }

  #cameBackInTrouble(index: number): boolean {
    const ends = new Set(['trouble_began', 'trouble_ended', 'gave_up', 'disabled', 'enabled', 'deleted']);
    const next = this.#changes.slice(index + 1).find(({ action }) => ends.has(action));
    if (next === undefined) return this.#consumer.mode !== 'normal';
    return next.action === 'trouble_ended' || next.action === 'gave_up';
  }

  isThrottled(from: number, to: number): boolean {
    const { failedAt, throttledUntil } = this.#consumer;
    if (failedAt !== null && throttledUntil !== null && throttledUntil > from && failedAt <= to) return true;
    const answers = this.attempts
      .filter(({ cause }) => cause === 'http_503' || cause === 'http_429')
      .filter(({ startedAt }) => startedAt > from - 300_000 && startedAt <= to)
      .toSorted((one, other) => one.startedAt - other.startedAt);
    const last = answers.at(-1);
    if (last === undefined) return false;
    const endsOf = (at: number) => answers.filter((a) => a.startedAt === at).map((a) => a.startedAt + a.durationMs);
    // Two that began at the same moment say the same: the histories have none that differ.
    const endedAt = Math.max(...endsOf(last.startedAt));
    return endedAt > from || !this.attempts.some(({ startedAt }) => startedAt > endedAt && startedAt <= from);
  }

  /** Whether attempts filled four fifths of its room in the second of `moment`. */
  isFull(moment: number): boolean {
    const second = Math.floor(moment / 1_000) * 1_000;
    const busyMs = this.attempts.reduce((sum, { startedAt, durationMs }) => {
      const overlap = Math.min(startedAt + durationMs, second + 1_000) - Math.max(startedAt, second);
      return sum + Math.max(0, overlap);
    }, 0);
    return busyMs / 1_000 >= 0.8 * this.#consumer.maxInFlight;
  }
}

/** Verdicts as the store has them: sums by objective and minute. */
export function byMinute(
  verdicts: readonly Verdict[],
): Record<string, { good: number; bad: number; excluded: number }> {
  const sums: Record<string, { good: number; bad: number; excluded: number }> = {};
  for (const { slo, due, verdict } of verdicts) {
    const key = `${slo} ${new Date(Math.floor(due / 60_000) * 60_000).toISOString()}`;
    const sum = (sums[key] ??= { good: 0, bad: 0, excluded: 0 });
    sum[verdict] += 1;
  }
  return sums;
}
