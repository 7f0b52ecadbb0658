import { randomUUID } from 'node:crypto';
import { type RawBuilder, type Selectable, sql } from 'kysely';
import { envelope, type EventData, type EventType } from '../../domain/events.ts';
import { DomainFailure } from '../../domain/failures.ts';
import { mayBecome, type OrderStatus } from '../../domain/order.ts';
import type { CommittedChange, Database, Queries } from './database.ts';
import type { OrdersTable } from './schema.ts';
import { settledChannel } from './settled-orders.ts';
import { storable } from './text.ts';

export type OrderRow = Selectable<OrdersTable>;

/** An order whose row this transaction holds: nobody else changes it until the transaction ends. */
export interface LockedOrder {
  readonly trx: Queries;
  readonly row: OrderRow;
  /** The moment of the change by PostgreSQL's clock, never before the order's last change. */
  readonly at: Date;
  readonly traceparent: string | undefined;
  /** What was changed in this transaction so far; told once it is committed. */
  readonly changes: CommittedChange[];
}

export interface NewEvent {
  readonly type: EventType;
  readonly data: EventData;
}

export interface Change {
  readonly status?: OrderStatus | undefined;
  readonly set?: Partial<
    Pick<
      OrderRow,
      | 'payment_token'
      | 'reason'
      | 'incarnation'
      | 'confirmed_at'
      | 'finished_at'
      | 'started_at'
      | 'start_tried_at'
      | 'cancel_requested_at'
      | 'cancel_reason'
      | 'cancel_tried_at'
      | 'cancel_delivered_at'
    >
  > & { readonly shipping_address?: string };
  readonly events?: readonly NewEvent[];
}

/** Runs `work` in a transaction that holds the order's row from its first statement on. Throws `not_found`. */
export async function withOrder<T>(
  db: Database,
  orderId: string,
  work: (order: LockedOrder) => Promise<T>,
): Promise<T> {
  const traceparent = db.traceparent();
  const changes: CommittedChange[] = [];
  const result = await db.transaction(async (trx) =>
    work({ trx, traceparent, changes, ...(await lockRow(trx, orderId)) }),
  );
  for (const change of changes) db.observer.changed?.(change);
  return result;
}

async function lockRow(trx: Queries, orderId: string): Promise<{ readonly row: OrderRow; readonly at: Date }> {
  const { rows } = await sql<OrderRow & { at: Date }>`
    select *, greatest(updated_at, clock_timestamp())::timestamptz(3) as at
    from orders where id = ${orderId} for update`.execute(trx);
  const [row] = rows;
  if (row === undefined) throw new DomainFailure('not_found', `There is no order ${orderId}.`);
  return { row, at: row.at };
}

/**
 * The one writer of orders, events and their deliveries: guards the transition, raises the version, numbers and writes the events, and
 * tells those who wait for the order to settle. Throws `illegal_transition`.
 */
export async function changeOrder(order: LockedOrder, change: Change): Promise<LockedOrder> {
  const { trx, row, at } = order;
  const { status = row.status, set = {}, events = [] } = change;
  if (change.status !== undefined && !mayBecome(row.status, status)) {
    throw new DomainFailure('illegal_transition', `Order ${row.id} is ${row.status} and cannot become ${status}.`);
  }
  const columns = {
    ...set,
    status,
    version: row.version + 1,
    event_sequence: row.event_sequence + events.length,
    updated_at: at,
  };
  const assignments = Object.entries(columns).map(([name, value]) => sql`${sql.ref(name)} = ${value}`);
  const written = eventRows({ ...order, orderId: row.id, lastSequence: row.event_sequence }, events);
  const settles = set.confirmed_at !== undefined || set.finished_at !== undefined;
  const { rows } = await sql<OrderRow>`
    with changed as (
      update orders set ${sql.join(assignments)} where id = ${row.id} and version = ${row.version} returning *
    ), ${writeEvents(written, sql`select id as order_id, updated_at as at from changed`)}
    select *, case when ${settles}::boolean then pg_notify(${settledChannel}, id)::text end from changed`.execute(trx);
  const [changed] = rows;
  if (changed === undefined) throw new Error(`order ${row.id} was changed past its lock`);
  order.changes.push({
    orderId: row.id,
    from: row.status,
    to: status,
    createdAt: row.created_at,
    at,
    events: events.map(({ type }) => type),
  });
  return { ...order, row: changed };
}

/** Writes a new order's first event; the order's row says `event_sequence` 1. */
export async function insertFirstEvent(
  trx: Queries,
  order: { readonly orderId: string; readonly at: Date; readonly traceparent: string | undefined },
  event: NewEvent,
): Promise<void> {
  const { orderId, at } = order;
  const rows = eventRows({ ...order, lastSequence: 0 }, [event]);
  const about = sql`select ${orderId}::text as order_id, ${at}::timestamptz(3) as at`;
  await sql`with ${writeEvents(rows, about)} select 1`.execute(trx);
}

/**
 * The events and, in the same breath, one delivery per consumer that each is meant for: what is written down here is
 * what delivery is measured by. `about` selects `order_id` and `at`, one row.
 */
function writeEvents(rows: readonly EventRow[], about: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`written as (
      insert into events (id, order_id, sequence, type, at, body)
      select e.id, about.order_id, e.sequence, e.type, about.at, e.body
      from (${about}) as about, unnest(
        ${rows.map((event) => event.id)}::text[], ${rows.map((event) => event.sequence)}::int[],
        ${rows.map((event) => event.type)}::text[], ${rows.map((event) => event.body)}::text[]
      ) as e (id, sequence, type, body)
      returning id, order_id, sequence, type, at, body
    ), meant as (
      insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at)
      select w.id, c.id, w.order_id, w.sequence, w.at, w.at
      from written w join consumers c on c.deleted_at is null and w.type like any (c.like_types)
        and (c.filter is null or w.body::jsonb @> c.filter)
    )`;
}

interface EventRow {
  readonly id: string;
  readonly sequence: number;
  readonly type: EventType;
  readonly body: string;
}

function eventRows(
  order: {
    readonly orderId: string;
    readonly lastSequence: number;
    readonly at: Date;
    readonly traceparent: string | undefined;
  },
  events: readonly NewEvent[],
): EventRow[] {
  const { orderId, lastSequence, at: time, traceparent } = order;
  return events.map(({ type, data }, index) => {
    const id = randomUUID();
    const sequence = lastSequence + 1 + index;
    // What a gateway says is in there. One consumer's filter reads it as jsonb, and must fail no order.
    const body = JSON.stringify(envelope({ id, type, time, orderId, sequence, traceparent, data }), storableValue);
    return { id, sequence, type, body };
  });
}

function storableValue(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? storable(value) : value;
}
