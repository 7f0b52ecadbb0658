/** Random histories, for what is judged from records. All times are in epoch milliseconds. */
import type { DeliveryStatus } from '../../src/domain/consumer-ports.ts';
import type { ConsumerState } from '../../src/domain/consumers.ts';
import type { FailureCause } from '../../src/domain/delivery.ts';

export interface ChangeRow {
  readonly id: number;
  readonly at: number;
  readonly action: string;
  readonly state: ConsumerState;
  readonly isDeleted: boolean;
}

export interface ConsumerHistory {
  readonly id: string;
  readonly maxInFlight: number;
  readonly changes: readonly ChangeRow[];
  readonly mode: 'normal' | 'probing';
  readonly failedAt: number | null;
  readonly throttledUntil: number | null;
}

export interface EventRow {
  readonly id: string;
  readonly orderId: string;
  readonly sequence: number;
  readonly type: string;
  readonly at: number;
  readonly replaces: string | null;
}

export interface OrderRow {
  readonly id: string;
  readonly at: number;
  readonly status: string;
  readonly reason: string | null;
  readonly cancelRequestedAt: number | null;
}

export interface AttentionRow {
  readonly id: string;
  readonly orderId: string;
  readonly openedAt: number;
  readonly closedAt: number | null;
  readonly by: 'decision' | 'recovery' | 'cancellation';
}

export interface DeliveryRow {
  readonly id: number;
  readonly eventId: string;
  readonly orderId: string;
  readonly sequence: number;
  readonly consumerId: string;
  readonly at: number;
  readonly status: DeliveryStatus;
  readonly firstAttemptAt: number | null;
  readonly settledAt: number | null;
  /** When it died first, of one that somebody has seen to. */
  readonly deadSince: number | null;
  readonly leaseUntil: number | null;
  /** It waits because the first of its order does. */
  readonly isHeldBack: boolean;
}

export interface AttemptRow {
  readonly deliveryId: number;
  readonly consumerId: string;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly cause: FailureCause | null;
}

export interface History {
  readonly consumers: readonly ConsumerHistory[];
  readonly orders: readonly OrderRow[];
  readonly events: readonly EventRow[];
  readonly attentions: readonly AttentionRow[];
  readonly deliveries: readonly DeliveryRow[];
  readonly attempts: readonly AttemptRow[];
}

/** Numbers in [0, 1), the same for the same seed: mulberry32. */
export function randomOf(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    below: (n: number): number => Math.floor(next() * n),
    chance: (p: number): boolean => next() < p,
    pick<T>(items: readonly T[]): T {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
  };
}
type Random = ReturnType<typeof randomOf>;

/** Around the deadlines, on them, and far from them. */
const early = [0, 1, 40, 200, 499, 500, 501, 700, 1_500] as const;
const late = [3_000, 9_000, 20_000, 29_500, 29_999, 30_000, 30_001, 45_000, 400_000] as const;

/** Some orders and consumers within the `lengthMs` after `since`. */
export function randomHistory(seed: number, since: number, { orders = 120, lengthMs = 20 * 60_000 } = {}): History {
  const random = randomOf(seed);
  const consumers = Array.from({ length: 5 }, (_, n) => randomConsumer(random, `c${n}`, since, lengthMs));
  const history = {
    consumers,
    orders: [] as OrderRow[],
    events: [] as EventRow[],
    attentions: [] as AttentionRow[],
    deliveries: [] as DeliveryRow[],
    attempts: [] as AttemptRow[],
  };
  for (let n = 0; n < orders; n += 1) addOrder(random, history, `o${n}`, since + random.below(lengthMs));
  return history;
}

function randomConsumer(random: Random, id: string, since: number, lengthMs: number): ConsumerHistory {
  const changes: ChangeRow[] = [];
  let state: ConsumerState = 'enabled';
  const note = (at: number, action: string, isDeleted = false): void => {
    changes.push({ id: changes.length + 1 + Number(id.slice(1)) * 1_000, at, action, state, isDeleted });
  };
  let at = since - 60_000;
  note(at, 'created');
  // Most of the time nothing happens, so that what is late is nobody else's fault.
  while (at < since + lengthMs && random.chance(0.9)) {
    at += random.pick([0, 300, 400, 5_000, 30_000, 120_000, 300_000]);
    const action = random.pick(
      state === 'enabled'
        ? ['paused', 'disabled', 'gave_up', 'trouble_began', 'trouble_ended', 'changed', 'secret_rotated', 'changed']
        : state === 'paused'
          ? ['resumed', 'resumed', 'trouble_ended', 'disabled', 'changed']
          : ['enabled', 'enabled', 'enabled', 'secret_rotated'],
    );
    if (action === 'paused') state = 'paused';
    if (action === 'disabled' || action === 'gave_up') state = 'disabled';
    if (action === 'resumed' || action === 'enabled') state = 'enabled';
    note(at, action);
  }
  if (random.chance(0.5)) note(at + 1_000, 'deleted', true);
  const failedAt = random.chance(0.5) ? since + random.below(lengthMs) : null;
  const throttledUntil =
    failedAt !== null && random.chance(0.5) ? failedAt + random.pick([500, 30_000, 300_000]) : null;
  const mode = random.chance(0.3) ? 'probing' : 'normal';
  return { id, maxInFlight: random.pick([1, 2, 8]), changes, mode, failedAt, throttledUntil };
}

type Growing = { -readonly [Key in Exclude<keyof History, 'consumers'>]: History[Key][number][] } & Pick<
  History,
  'consumers'
>;

const turns = [
  'confirmed',
  'review_started',
  'rejected',
  'cancelled',
  'attention_opened',
  'stock_reserved',
  'payment_authorized',
] as const;

function addOrder(random: Random, history: Growing, id: string, at: number): void {
  const reason = random.pick([null, 'payment_declined: insufficient_funds', 'cancel_requested', 'given_up: authorize']);
  const cancelRequestedAt = random.chance(0.5) ? at + 10 : null;
  const types = ['created', ...Array.from({ length: random.below(5) }, () => random.pick(turns))];
  const status = types.includes('rejected') ? 'rejected' : types.includes('cancelled') ? 'cancelled' : 'received';
  history.orders.push({ id, at, status, reason, cancelRequestedAt });
  let time = at;
  for (const [index, kind] of types.entries()) {
    if (index > 0) time += random.chance(0.7) ? random.pick([0, 20, 60, 240, 499, 500, 501]) : random.pick(late);
    const type = `evenkeel.order.${kind}.v1`;
    const event = { id: `${id}-${index + 1}`, orderId: id, sequence: index + 1, type, at: time, replaces: null };
    history.events.push(event);
    if (kind === 'attention_opened') addAttention(random, history, event);
    for (const consumer of history.consumers) {
      if (random.chance(0.7)) addDelivery(random, history, event, consumer.id);
    }
  }
}

function addAttention(random: Random, history: Growing, { id, orderId, at: openedAt }: EventRow): void {
  const after = random.pick([0, 1_000, 599_999, 600_000, 600_001, 900_000]);
  const closedAt = random.chance(0.8) ? openedAt + after : null;
  history.attentions.push({
    id,
    orderId,
    openedAt,
    closedAt,
    by: random.pick(['decision', 'recovery', 'cancellation']),
  });
}

function addDelivery(random: Random, history: Growing, event: EventRow, consumerId: string): void {
  const { id: eventId, orderId, sequence, at } = event;
  const id = history.deliveries.length + 1;
  const isPrompt = random.chance(0.7);
  const firstAttemptAt = random.chance(0.92) ? at + random.pick(isPrompt ? early : late) : null;
  const status: DeliveryStatus =
    firstAttemptAt === null || random.chance(0.15)
      ? 'pending'
      : random.chance(0.75)
        ? 'delivered'
        : random.pick(['dead', 'replaced', 'discarded'] as const);
  const end = (firstAttemptAt ?? at) + random.pick(random.chance(0.8) ? early : late);
  const hasDied = status === 'replaced' || status === 'discarded' || random.chance(0.05);
  const deadSince = hasDied && firstAttemptAt !== null ? end : null;
  const settledAt = status === 'pending' ? null : deadSince === null ? end : end + random.pick([50, 20_000]);
  const leaseUntil = status === 'pending' && random.chance(0.5) ? (firstAttemptAt ?? at) + 30_000 : null;
  // One that was never sent shows that a backlog lasts, if nothing else holds it back.
  const isHeldBack = firstAttemptAt === null && random.chance(0.98);
  history.deliveries.push({
    id,
    eventId,
    orderId,
    sequence,
    consumerId,
    at,
    status,
    firstAttemptAt,
    settledAt,
    deadSince,
    leaseUntil,
    isHeldBack,
  });
  if (deadSince !== null && status === 'replaced') {
    // Its correction: neither judged nor in anybody's way.
    const corrected = { ...event, id: `${eventId}-${consumerId}`, replaces: eventId };
    history.events.push(corrected);
    const nothing = { firstAttemptAt: null, settledAt: null, deadSince: null, leaseUntil: null, isHeldBack: true };
    const ids = { id: id + 1, eventId: corrected.id, orderId, sequence, consumerId };
    history.deliveries.push({ ...ids, ...nothing, at, status: 'pending' });
  }
  if (firstAttemptAt === null) return;
  const durationMs = random.pick([5, 100, 900, 6_000, 20_000]);
  const cause = random.chance(0.7) ? null : random.pick(['http_503', 'http_429', 'http_500', 'timeout'] as const);
  if (random.chance(0.8))
    history.attempts.push({ deliveryId: id, consumerId, startedAt: firstAttemptAt, durationMs, cause });
}
