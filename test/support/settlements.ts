import { postgresConsumerTroubles } from '../../src/adapters/postgres/consumer-troubles.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresDeliveryQueue } from '../../src/adapters/postgres/delivery-queue.ts';
import { sql } from 'kysely';
import { type AttemptResult, type DeliveryPolicy, type FailureCause, judge } from '../../src/domain/delivery.ts';
import type { ClaimedDelivery, Settlement } from '../../src/domain/delivery-ports.ts';
import { testDatabase } from './postgres.ts';

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

/** One relay's part of a queue: connections of its own. */
export function relayOf(url: string, pool = 4) {
  const db = connect(url, { pool });
  const queue = postgresDeliveryQueue(db);
  const claim = (limit = 64, leaseMs = 60_000) => queue.claim({ limit, leaseMs, relay: 'relay-1' });
  return { db, queue, claim, troubles: postgresConsumerTroubles(db) };
}

/** A database for a file, and a relay's part of it. */
export async function newDeliveryQueue() {
  const { url, drop } = await testDatabase();
  const relay = relayOf(url);
  const others: Database[] = [];
  return {
    ...relay,
    settle: (...settlements: readonly Settlement[]) => relay.queue.settle(settlements, 'relay-1'),
    another() {
      const other = relayOf(url);
      others.push(other.db);
      return other;
    },
    /** No consumer, no delivery. */
    clear: () => relay.db.read((queries) => sql`truncate consumers, deliveries cascade`.execute(queries)),
    async query<Row>(statement: ReturnType<typeof sql<Row>>): Promise<Row[]> {
      return relay.db.read(async (queries) => (await statement.execute(queries)).rows);
    },
    async stop() {
      await Promise.all([relay.db, ...others].map((db) => db.destroy()));
      await drop();
    },
  };
}
