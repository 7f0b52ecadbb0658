import { type ConsumerHealth, hear, healthy, isClean } from '../../src/domain/consumer-health.ts';
import type { AttemptResult } from '../../src/domain/delivery.ts';
import {
  type ClaimLimits,
  type ClaimedDelivery,
  type DeliveryQueue,
  type EventSender,
  type OutgoingEvent,
  type Settled,
  type Settlement,
  wordsOf,
} from '../../src/domain/delivery-ports.ts';
import { DomainFailure } from '../../src/domain/failures.ts';

export const away = new DomainFailure('store_unavailable', 'away');

/** A claimed delivery with what a test says of it, to one consumer. */
export function claimed(given: Partial<ClaimedDelivery> & { readonly consumerId?: string } = {}): ClaimedDelivery {
  const { consumerId = 'c1', ...rest } = given;
  const id = rest.id ?? 1;
  return {
    id,
    token: `token-${id}`,
    eventId: `e${id}`,
    orderId: `o${id}`,
    sequence: 1,
    type: 'evenkeel.order.created.v1',
    body: '{}',
    strikes: 0,
    destination: { consumerId, target: { kind: 'http', url: 'http://127.0.0.1:1/' }, secrets: [] },
    mode: 'normal',
    isWatched: false,
    workedSince: false,
    ...rest,
  };
}

export const delivered = (): AttemptResult => ({
  outcome: 'delivered',
  cause: null,
  status: 204,
  answer: null,
  error: null,
  retryAfterMs: null,
  startedAt: new Date(),
  durationMs: 1,
});

export const failed = (cause: AttemptResult['cause'] = 'http_500'): AttemptResult => ({
  ...delivered(),
  outcome: 'failed',
  cause,
  status: null,
  error: 'no',
});

interface Row {
  delivery: ClaimedDelivery;
  status: 'pending' | 'delivered' | 'dead';
  /** By `Date.now()`; while it is taken, the end of its lease. */
  dueAt: number;
  token: string | null;
  attempts: number;
}

/** The queue in memory, for any number of relays: leases, tokens, and one event of an order after the other. */
export class MemoryQueue implements DeliveryQueue {
  readonly rows: Row[] = [];
  readonly claims: ClaimLimits[] = [];
  readonly settles: (readonly Settlement[])[] = [];
  readonly late: number[] = [];
  readonly healths = new Map<string, ConsumerHealth>();
  /** Called first; a test throws here, or makes wait. */
  beforeClaim: () => Promise<void> = async () => undefined;
  beforeSettle: (settlements: readonly Settlement[]) => Promise<void> = async () => undefined;
  /** Whether somebody else holds its row when its outcome is to be written. */
  isLocked: (delivery: ClaimedDelivery) => boolean = () => false;

  add(count: number, given: (index: number) => Parameters<typeof claimed>[0] = () => ({})): void {
    for (let index = 0; index < count; index += 1) {
      const delivery = claimed({ id: this.rows.length + 1, ...given(index) });
      this.rows.push({ delivery, status: 'pending', dueAt: Date.now(), token: null, attempts: 0 });
    }
  }

  count(status: Row['status']): number {
    return this.rows.filter((row) => row.status === status).length;
  }

  async claim(limits: ClaimLimits): Promise<readonly ClaimedDelivery[]> {
    this.claims.push(limits);
    await this.beforeClaim();
    const due = this.rows.filter((row) => row.status === 'pending' && row.dueAt <= Date.now() && !this.#isHeld(row));
    return due.slice(0, limits.limit).map((row) => {
      row.attempts += 1;
      row.token = `${row.delivery.id}:${row.attempts}`;
      row.dueAt = Date.now() + limits.leaseMs;
      const health = this.#healthOf(row);
      row.delivery = { ...row.delivery, token: row.token, mode: health.mode, isWatched: !isClean(health) };
      return row.delivery;
    });
  }

  async settle(settlements: readonly Settlement[]): Promise<Settled> {
    this.settles.push(settlements);
    await this.beforeSettle(settlements);
    const late: number[] = [];
    const missed = settlements.filter(({ delivery }) => this.isLocked(delivery)).map(({ delivery }) => delivery.id);
    const free = settlements.filter(({ delivery }) => !this.isLocked(delivery));
    for (const { delivery, verdict } of free) {
      const row = this.rows.find(({ token }) => token === delivery.token);
      if (row === undefined) late.push(delivery.id);
      else if (verdict.next === 'retry') {
        row.dueAt = Date.now() + verdict.delayMs;
        row.delivery = { ...row.delivery, strikes: verdict.strikes };
        row.token = null;
      } else {
        row.status = verdict.next;
        row.token = null;
      }
    }
    this.late.push(...late);
    return { late, missed, ...this.#hear(free) };
  }

  #hear(settlements: readonly Settlement[]): Omit<Settled, 'late' | 'missed'> {
    const consumerIds = new Set(settlements.map(({ delivery }) => delivery.destination.consumerId));
    const troubled = [...consumerIds].flatMap((consumerId) => {
      const before = this.healths.get(consumerId) ?? healthy;
      const mine = settlements.filter(({ delivery }) => delivery.destination.consumerId === consumerId);
      const after = wordsOf(mine).reduce(hear, before);
      this.healths.set(consumerId, after);
      return after.mode === 'normal' ? [] : [{ consumerId, epoch: after.epoch, began: before.mode === 'normal' }];
    });
    const disabling = settlements.filter(({ verdict }) => verdict.next !== 'delivered' && verdict.disables);
    return { troubled, disabled: [...new Set(disabling.map(({ delivery }) => delivery.destination.consumerId))] };
  }

  #healthOf({ delivery }: Row): ConsumerHealth {
    return this.healths.get(delivery.destination.consumerId) ?? healthy;
  }

  #isHeld({ delivery: { orderId, sequence, destination } }: Row): boolean {
    return this.rows.some(
      ({ status, delivery }) =>
        status === 'pending' &&
        delivery.orderId === orderId &&
        delivery.destination.consumerId === destination.consumerId &&
        delivery.sequence < sequence,
    );
  }
}

/** A sender that answers as the test says, and remembers what it was sent. */
export class MemorySender implements EventSender {
  readonly sent: string[] = [];
  answer: (event: OutgoingEvent, signal: AbortSignal) => Promise<AttemptResult> = async () => delivered();

  async send(event: OutgoingEvent, _to: unknown, { signal }: { readonly signal: AbortSignal }): Promise<AttemptResult> {
    this.sent.push(event.eventId);
    return this.answer(event, signal);
  }

  async close(): Promise<void> {
    return undefined;
  }
}
