import { type RawBuilder, sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import { isTerminal } from '../../domain/order.ts';
import type { IdleOrder, InboxMessage, Outstanding, StartableOrder } from '../../domain/order-ports.ts';
import type { AttentionEnd } from '../../domain/step-ports.ts';
import { allowedDecisions } from '../../domain/steps.ts';
import { closeAttention, closeOpenAttentions, openAttention } from './attentions.ts';
import { changeOrder, type LockedOrder, withOrder } from './change.ts';
import { ago, type Database, type Queries } from './database.ts';

/**
 * Whatever is listed here is taken for `olderThanMs`: it comes again only after that, so that sweepers of several
 * processes share the work and one thing that never succeeds does not hold up the others.
 */
export function postgresOutstanding(db: Database): Outstanding {
  return {
    unstarted: (olderThanMs, limit) => db.read((queries) => takeUnstarted(queries, olderThanMs, limit)),
    markStarted: (orderId) =>
      set(db, sql`update orders set started_at = coalesce(started_at, clock_timestamp()) where id = ${orderId}`),
    undeliveredMessages: (olderThanMs, limit) => db.read((queries) => takeMessages(queries, olderThanMs, limit)),
    markMessageDelivered: (messageId, result) =>
      set(
        db,
        // Of an order that is not at its end the workflow is lost, not done: its message waits for the one to come.
        sql`update inbox i set delivered_at = clock_timestamp(), result = ${result} from orders o
          where i.channel = 'carrier' and i.message_id = ${messageId} and i.delivered_at is null
            and o.id = i.order_id
            and (${result}::text = 'accepted' or o.finished_at is not null)`,
      ),
    undeliveredCancellations: (olderThanMs, limit) =>
      db.read((queries) => takeCancellations(queries, olderThanMs, limit)),
    markCancellationDelivered: (orderId) =>
      set(
        db,
        sql`update orders set cancel_delivered_at = clock_timestamp()
          where id = ${orderId} and cancel_requested_at is not null and cancel_delivered_at is null`,
      ),
    takeIdle: (idleMs, limit) => db.read((queries) => takeIdle(queries, idleMs, limit)),
    flag: (orderId, reason) => withOrder(db, orderId, (order) => flag(order, reason)),
    unflag: (orderId, how) => withOrder(db, orderId, (order) => unflag(order, how)),
    restartable: (orderId, decisionId) => withOrder(db, orderId, (order) => restart(order, decisionId)),
  };
}

/** Notes of who was told what: no part of what an order shows, so that its version stays. */
async function set(db: Database, statement: RawBuilder<unknown>): Promise<void> {
  await db.read((queries) => statement.execute(queries));
}

const startable = sql`o.id as "orderId", o.total_minor as "totalMinor", o.currency, o.incarnation`;

/** Only a replacement needs to know them. */
const history = sql`case when o.incarnation > 0 then o.confirmed_at is not null end as confirmed,
  case when o.incarnation > 0 then (
    select jsonb_object_agg(slot, generation) from (
      select result ->> 'slot' as slot, max((result ->> 'generation')::int) as generation
      from steps where order_id = o.id and jsonb_exists(result, 'slot') group by 1
    ) corrected
  ) end as generations`;

async function takeUnstarted(queries: Queries, olderThanMs: number, limit: number): Promise<StartableOrder[]> {
  const { rows } = await sql<StartableRow>`
    with due as (
      select id, coalesce(start_tried_at, created_at) as since from orders
      where started_at is null and finished_at is null
        and coalesce(start_tried_at, created_at) <= ${ago(olderThanMs)}
      order by since, id limit ${limit} for update skip locked
    ), taken as (
      update orders o set start_tried_at = clock_timestamp() from due where o.id = due.id
      returning ${startable}, ${history}, due.since
    )
    select "orderId", "totalMinor", currency, incarnation, confirmed, generations from taken order by since, "orderId"`.execute(
    queries,
  );
  return rows.map(withHistory);
}

/** Not of orders whose workflow is yet to be started: there is nobody to listen. */
async function takeMessages(queries: Queries, olderThanMs: number, limit: number): Promise<InboxMessage[]> {
  const { rows } = await sql<Omit<InboxMessage, 'at'> & { at: Date }>`
    with due as (
      select i.message_id, coalesce(i.tried_at, i.received_at) as since
      from inbox i join orders o on o.id = i.order_id
      where i.channel = 'carrier' and i.delivered_at is null and i.parked_at is null and o.started_at is not null
        and coalesce(i.tried_at, i.received_at) <= ${ago(olderThanMs)}
      order by since, i.message_id limit ${limit} for update of i skip locked
    ), taken as (
      update inbox i set tried_at = clock_timestamp() from due
      where i.channel = 'carrier' and i.message_id = due.message_id
      returning i.*, due.since
    )
    select message_id as "messageId", order_id as "orderId", fulfillment_id as "fulfillmentId", shipment_id as "shipmentId",
      kind, at
    from taken order by since, at, message_id`.execute(queries);
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
}

async function takeCancellations(queries: Queries, olderThanMs: number, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with due as (
      select id, coalesce(cancel_tried_at, cancel_requested_at) as since from orders
      where cancel_requested_at is not null and cancel_delivered_at is null and finished_at is null
        and started_at is not null and coalesce(cancel_tried_at, cancel_requested_at) <= ${ago(olderThanMs)}
      order by since, id limit ${limit} for update skip locked
    ), taken as (
      update orders o set cancel_tried_at = clock_timestamp() from due where o.id = due.id returning o.id, due.since
    )
    select id from taken order by since, id`.execute(queries);
  return rows.map(({ id }) => id);
}

const openFlags = sql`from attentions a where a.order_id = o.id and a.step = 'workflow' and a.closed_at is null`;

/** A capture that a person skipped left no other trace than the attention. */
const waitsForCarrier = sql`(o.cancel_requested_at is null and coalesce(
  (select bool_and(f.status in ('booked', 'dispatched')
     and not exists (
       select 1 from inbox i
       where i.order_id = o.id and i.fulfillment_id = f.id and i.result is distinct from 'other_shipment'
         and (i.kind = 'delivered' or f.status = 'booked'))
     and (f.status = 'booked'
       or exists (
         select 1 from effects e
         where e.order_id = o.id and e.fulfillment_id = f.id and e.kind = 'capture'
           and e.outcome ->> 'outcome' = 'captured')
       or exists (
         select 1 from attentions s
         where s.order_id = o.id and s.fulfillment_id = f.id and s.step = 'capture'
           and s.closed_how ->> 'action' = 'skip')))
   from fulfillments f where f.order_id = o.id and f.status in ('pending', 'booked', 'dispatched')), false))`;

async function takeIdle(queries: Queries, idleMs: number, limit: number): Promise<IdleOrder[]> {
  const { rows } = await sql<IdleOrder>`
    with due as (
      select id, coalesce(looked_at, updated_at) as since from orders o
      where finished_at is null and coalesce(looked_at, updated_at) <= ${ago(idleMs)}
        and (updated_at <= ${ago(idleMs)} or exists (select 1 ${openFlags} and a.opened_at < o.updated_at))
      order by since limit ${limit} for update of o skip locked
    ), taken as (
      update orders o set looked_at = clock_timestamp() from due where o.id = due.id returning o.*, due.since
    )
    select ${startable}, o.status, o.started_at is not null as started,
      exists (select 1 from attentions a where a.order_id = o.id and a.closed_at is null) as "waitsForPerson",
      ${waitsForCarrier} as "waitsForCarrier",
      (select json_build_object('reason', a.reason, 'changedSince', a.opened_at < o.updated_at) ${openFlags}) as flag,
      floor(extract(epoch from clock_timestamp() - o.updated_at) * 1000)::bigint as "idleMs"
    from taken o order by o.since, o.id`.execute(queries);
  return rows;
}

async function flag(order: LockedOrder, reason: string): Promise<boolean> {
  const { row } = order;
  if (isTerminal(row.status) || (await openFlag(order)) !== undefined) return false;
  const attentionId = await newFlagId(order);
  const flagged = await openAttention(order, {
    attentionId,
    step: 'workflow',
    reason,
    allowed: allowedDecisions('workflow'),
  });
  return flagged !== order;
}

async function unflag(order: LockedOrder, how: AttentionEnd): Promise<boolean> {
  const attentionId = await openFlag(order);
  if (attentionId === undefined) return false;
  await closeAttention(order, attentionId, how);
  return true;
}

/** One workflow may be flagged, left alone and flagged again: each time is an attention of its own. */
async function newFlagId({ trx, row }: LockedOrder): Promise<string> {
  const id = `workflow-${row.incarnation}`;
  const { count } = await trx
    .selectFrom('attentions')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('order_id', '=', row.id)
    .where((e) => e.or([e('id', '=', id), e('id', 'like', `${id}.%`)]))
    .executeTakeFirstOrThrow();
  return count === 0 ? id : `${id}.${count + 1}`;
}

async function openFlag({ trx, row }: LockedOrder): Promise<string | undefined> {
  const open = await trx
    .selectFrom('attentions')
    .select('id')
    .where('order_id', '=', row.id)
    .where('step', '=', 'workflow')
    .where('closed_at', 'is', null)
    .executeTakeFirst();
  return open?.id;
}

/**
 * What else waited for a person was the lost workflow's: the new one opens its own again. Asking again with the same
 * decision changes nothing. Throws `attention_stale` if there is no flag to take back.
 */
async function restart(order: LockedOrder, decisionId: string): Promise<StartableOrder> {
  const { trx, row, at } = order;
  if ((await openFlag(order)) === undefined) {
    if (await wasRestartedBy(order, decisionId)) return startableOf(order);
    throw new DomainFailure('attention_stale', `Order ${row.id} has no lost workflow (any more).`);
  }
  const events = await closeOpenAttentions(order, { by: 'decision', decisionId, action: 'retry' });
  await trx
    .updateTable('inbox')
    .set({ delivered_at: null, tried_at: null, result: null })
    .where('channel', '=', 'carrier')
    .where('order_id', '=', row.id)
    .where('result', 'is distinct from', 'other_shipment')
    .execute();
  const restarted = await changeOrder(order, {
    set: {
      incarnation: row.incarnation + 1,
      started_at: null,
      // Whoever asked starts it at once; a sweeper at the same time could only start it a second time.
      start_tried_at: at,
      cancel_tried_at: null,
      cancel_delivered_at: null,
    },
    events,
  });
  return startableOf(restarted);
}

async function wasRestartedBy({ trx, row }: LockedOrder, decisionId: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from attentions
    where order_id = ${row.id} and step = 'workflow' and closed_how ->> 'decisionId' = ${decisionId}`.execute(trx);
  return rows.length > 0;
}

async function startableOf({ trx, row }: LockedOrder): Promise<StartableOrder> {
  const { rows } = await sql<StartableRow>`
    select ${startable}, ${history} from orders o where o.id = ${row.id}`.execute(trx);
  const [order] = rows;
  if (order === undefined) throw new Error(`order ${row.id} is gone while it is locked`);
  return withHistory(order);
}

type StartableRow = Omit<StartableOrder, 'generations' | 'confirmed'> & {
  readonly generations: Record<string, number> | null;
  readonly confirmed: boolean | null;
};

function withHistory({ generations, confirmed, ...order }: StartableRow): StartableOrder {
  return confirmed === null ? order : { ...order, confirmed, generations: generations ?? {} };
}
