/** Rows of delivery, written past the stores: for tests that begin in the middle. All times are by PostgreSQL's clock. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../../src/adapters/postgres/database.ts';
import type { DeliveryStatus } from '../../src/domain/consumer-ports.ts';
import type { ConsumerState, ConsumerTarget } from '../../src/domain/consumers.ts';
import { likePattern } from '../../src/domain/consumers.ts';
import type { DeadCause } from '../../src/domain/delivery.ts';
import { envelope, type EventData, type EventType } from '../../src/domain/events.ts';

export interface ConsumerRow {
  readonly name?: string;
  readonly target?: ConsumerTarget;
  readonly types?: readonly string[];
  readonly filter?: EventData | null;
  readonly maxInFlight?: number;
  readonly state?: ConsumerState;
  readonly secret?: string;
  /** Valid for another hour. */
  readonly formerSecret?: string;
}

/** A consumer that is enabled and healthy, with its health's row. Resolves with its id. */
export async function insertConsumer(db: Database, row: ConsumerRow = {}): Promise<string> {
  const id = randomUUID();
  const { name = `consumer ${id}`, types = ['*'], filter = null, maxInFlight = 8, state = 'enabled' } = row;
  const { target = { kind: 'http', url: 'https://consumer.example/events' }, secret = `whsec_${id}` } = row;
  const { formerSecret = null } = row;
  await db.read((queries) =>
    sql`with made as (
        insert into consumers (id, name, target, types, like_types, filter, max_in_flight, state, state_since, secret,
          former_secret, former_secret_until, created_at)
        values (${id}, ${name}, ${JSON.stringify(target)}, ${JSON.stringify(types)}, ${types.map(likePattern)}::text[],
          ${filter === null ? null : JSON.stringify(filter)}, ${maxInFlight}, ${state}, clock_timestamp(), ${secret},
          ${formerSecret}, case when ${formerSecret}::text is not null then clock_timestamp() + interval '1 hour' end,
          clock_timestamp())
        returning id
      )
      insert into consumer_health (consumer_id) select id from made`.execute(queries),
  );
  return id;
}

/** An order as it was received, without lines or events. Resolves with its id. */
export async function insertOrder(db: Database): Promise<string> {
  const id = randomUUID();
  await db.read((queries) =>
    sql`insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token,
        shipping_address, created_at, updated_at)
      values (${id}, 'default', ${id}, 'hash', 'c1', 'EUR', 100, 'tok', '{}', clock_timestamp(), clock_timestamp())`.execute(
      queries,
    ),
  );
  return id;
}

export interface EventRow {
  /** A new order where none is named. */
  readonly orderId?: string;
  readonly sequence?: number;
  readonly type?: EventType;
  readonly data?: EventData;
  /** How long ago it happened. */
  readonly ageMs?: number;
}

export interface WrittenEvent {
  readonly eventId: string;
  readonly orderId: string;
  readonly sequence: number;
}

/** An event, and no deliveries. */
export async function insertEvent(db: Database, row: EventRow = {}): Promise<WrittenEvent> {
  const { orderId = await insertOrder(db), sequence = 1, type = 'evenkeel.order.created.v1', ageMs = 0 } = row;
  const id = randomUUID();
  const time = new Date(Date.now() - ageMs);
  const body = JSON.stringify(envelope({ id, type, time, orderId, sequence, data: row.data ?? {} }));
  await db.read((queries) =>
    sql`insert into events (id, order_id, sequence, type, at, body)
      values (${id}, ${orderId}, ${sequence}, ${type}, ${past(ageMs)}, ${body})`.execute(queries),
  );
  return { eventId: id, orderId, sequence };
}

export interface DeliveryRow extends EventRow {
  /** One that is there already; otherwise a new one is written. */
  readonly event?: WrittenEvent;
  readonly status?: DeliveryStatus;
  /** Of a dead one; `http_500` where none is named. */
  readonly cause?: DeadCause;
  readonly isLate?: boolean;
  readonly attempts?: number;
  readonly strikes?: number;
  /** In the past, and due, where it is negative. */
  readonly dueInMs?: number;
  readonly lastStatus?: number | null;
  readonly lastError?: string | null;
  /** Of one that is not pending: how long ago it was settled. */
  readonly settledMsAgo?: number;
}

export interface WrittenDelivery extends WrittenEvent {
  readonly id: number;
}

/** A delivery, pending and due for a second unless `row` says otherwise. */
export async function insertDelivery(
  db: Database,
  consumerId: string,
  row: DeliveryRow = {},
): Promise<WrittenDelivery> {
  const { status = 'pending', isLate = false, attempts = 0, strikes = 0, dueInMs = -1000, ageMs = 0 } = row;
  const event = row.event ?? (await insertEvent(db, row));
  const cause = row.cause ?? (status === 'dead' ? 'http_500' : null);
  const settledAt = status === 'pending' ? sql`null` : past(row.settledMsAgo ?? 0);
  const { rows } = await db.read((queries) =>
    sql<{ id: number }>`
      insert into deliveries (event_id, consumer_id, order_id, sequence, status, is_late, attempts, strikes, created_at,
        next_attempt_at, settled_at, cause, last_status, last_error)
      values (${event.eventId}, ${consumerId}, ${event.orderId}, ${event.sequence}, ${status}, ${isLate}, ${attempts},
        ${strikes}, ${past(ageMs)}, ${past(-dueInMs)}, ${settledAt}, ${cause}, ${row.lastStatus ?? null},
        ${row.lastError ?? null})
      returning id`.execute(queries),
  );
  const [written] = rows;
  if (written === undefined) throw new Error('no delivery was written');
  return { ...event, id: written.id };
}

function past(ms: number) {
  return sql`(clock_timestamp() - ${ms} * interval '1 millisecond')`;
}
