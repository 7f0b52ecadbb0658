import { type RawBuilder, sql } from 'kysely';
import { postgresConsumerTroubles } from '../../src/adapters/postgres/consumer-troubles.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresDeliveryQueue } from '../../src/adapters/postgres/delivery-queue.ts';
import { type AttemptResult, type DeliveryPolicy, type FailureCause, judge } from '../../src/domain/delivery.ts';
import type { ClaimedDelivery, Settlement } from '../../src/domain/delivery-ports.ts';
import { type ConsumerRow, type DeliveryRow, insertConsumer, insertDelivery } from './delivery-rows.ts';
import { testDatabase } from './postgres.ts';
import { waitFor } from './wait.ts';

export const policy: DeliveryPolicy = {
  maxStrikes: 3,
  backoffBaseMs: 20_000,
  backoffCapMs: 3_600_000,
  longestRetryAfterMs: 3_600_000,
};

const nothing = { cause: null, status: null, answer: null, error: null, retryAfterMs: null };

/** How an attempt that began just now ended, as the relay writes it. */
export function settlement(delivery: ClaimedDelivery, result: Partial<AttemptResult> = {}): Settlement {
  const whole: AttemptResult = {
    ...nothing,
    outcome: result.cause === undefined ? 'delivered' : 'failed',
    startedAt: new Date(),
    durationMs: 12,
    ...result,
  };
  return { delivery, result: whole, verdict: judge(delivery, whole, policy, 0.5) };
}

export function delivered(delivery: ClaimedDelivery): Settlement {
  return settlement(delivery, { status: 204 });
}

export function failed(
  delivery: ClaimedDelivery,
  cause: FailureCause = 'http_500',
  result: Partial<AttemptResult> = {},
): Settlement {
  return settlement(delivery, { cause, status: null, error: `it was ${cause}`, ...result });
}

/** How many seconds from now `column` is, rounded up to 15: however slow the machine is. */
export function quarters(column: string) {
  return sql<number>`greatest(0, ceil(extract(epoch from ${sql.ref(column)} - clock_timestamp()) / 15) * 15)::int`;
}

/** One relay's part of a queue: connections of its own. */
export function relayOf(url: string, pool = 4) {
  const db = connect(url, { pool });
  const queue = postgresDeliveryQueue(db);
  const claim = (limit = 64, leaseMs = 60_000) => queue.claim({ limit, leaseMs, relay: 'relay-1' });
  return { db, queue, claim, troubles: postgresConsumerTroubles(db) };
}

/** A database for a file, a relay's part of it, and what tests do to its rows and read of them. */
export async function newDeliveryQueue() {
  const { url, drop } = await testDatabase();
  const relay = relayOf(url);
  const holder = connect(url, { pool: 1 });
  const others: Database[] = [holder];
  async function query<Row>(statement: RawBuilder<Row>): Promise<Row[]> {
    return relay.db.read(async (queries) => (await statement.execute(queries)).rows);
  }
  return {
    ...relay,
    query,
    settle: (...settlements: readonly Settlement[]) => relay.queue.settle(settlements, 'relay-1'),
    another(pool?: number) {
      const other = relayOf(url, pool);
      others.push(other.db);
      return other;
    },
    consumer: (row?: ConsumerRow) => insertConsumer(relay.db, row),
    add: (consumerId: string, row?: DeliveryRow) => insertDelivery(relay.db, consumerId, row),
    /** Claims the one delivery that is due. */
    async only(): Promise<ClaimedDelivery> {
      const [one, ...more] = await relay.claim();
      if (one === undefined || more.length > 0) throw new Error('not exactly one is due');
      return one;
    },
    leaseOver: () =>
      query(sql`update deliveries set next_attempt_at = clock_timestamp() - interval '1 s' where token is not null`),
    setHealth: (consumerId: string, columns: string) =>
      query(sql`update consumer_health set ${sql.raw(columns)} where consumer_id = ${consumerId}`),
    /** A consumer in its third trouble, three hours old. */
    async inTrouble(mode: 'probing' | 'recovering', columns = '', row: ConsumerRow = {}): Promise<string> {
      const id = await insertConsumer(relay.db, row);
      await query(sql`
        update consumer_health set mode = ${mode}, epoch = 3, reason = 'timeout',
          trouble_since = clock_timestamp() - interval '3 hours', failing_since = clock_timestamp() - interval '3 hours',
          failed_at = clock_timestamp() - interval '1 minute', next_probe_at = clock_timestamp() + interval '1 hour',
          send_limit = ${mode === 'recovering' ? 2 : null}${sql.raw(columns)}
        where consumer_id = ${id}`);
      await query(sql`update consumers set state_since = clock_timestamp() - interval '1 day' where id = ${id}`);
      return id;
    },
    async health(consumerId: string): Promise<Record<string, unknown>> {
      const [row] = await query(sql<Record<string, unknown>>`
        select mode, epoch, failing_orders, connection_failures, failures, successes, relapses, reason, send_limit,
          failing_since is not null as is_failing, trouble_since is not null as is_dated,
          next_probe_at < clock_timestamp() + interval '30 s' as is_probed_soon,
          ${quarters('throttled_until')} as throttle, throttle_streak
        from consumer_health where consumer_id = ${consumerId}`);
      return row ?? {};
    },
    changes: (consumerId: string) =>
      query(
        sql`select action, actor, reason, state from consumer_changes where consumer_id = ${consumerId} order by id`,
      ),
    /** Does `work` while what `statement` selects is locked. What it started may end after that. */
    holding: <T extends object>(statement: RawBuilder<unknown>, work: () => Promise<T>): Promise<T> =>
      holder.transaction(async (trx) => {
        await statement.execute(trx);
        return work();
      }),
    /** Waits until so many of this database's connections wait for a lock. */
    waiting: (count: number) =>
      waitFor(`${count} wait for a lock`, async () => {
        const [found] = await query(sql<{ count: number }>`
          select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
        return found?.count === count;
      }),
    /** No consumer, no delivery. */
    clear: () => query(sql`truncate consumers, deliveries cascade`),
    async stop() {
      await Promise.all([relay.db, ...others].map((db) => db.destroy()));
      await drop();
    },
  };
}
