import { type RawBuilder, sql } from 'kysely';
import type { AuditRecords, ConsumerRecord, OrderRecord } from '../../audit/records.ts';
import { APPLICATION_NAME, type Database, type Queries } from './database.ts';

const AUDIT_NAME = `${APPLICATION_NAME}-audit`;

/**
 * Runs `work` over records of one moment: a transaction that reads one snapshot and writes nothing. Throws
 * `store_unavailable`.
 */
export function withAuditRecords<T>(db: Database, work: (records: AuditRecords) => Promise<T>): Promise<T> {
  return db.transaction(async (trx) => {
    await readOneMoment(trx);
    // Whoever prints findings to a slow terminal is not frozen.
    await sql`set local idle_in_transaction_session_timeout = 0`.execute(trx);
    await sql`set local statement_timeout = '60s'`.execute(trx);
    return work({ consumers: () => readConsumers(trx), orders: (afterId, limit) => readOrders(trx, afterId, limit) });
  });
}

/**
 * The transaction reads one snapshot from here on and writes nothing, for as long as it takes. It has another name than
 * those which may write: whoever waits until nothing earlier can be committed need not wait for it.
 */
export async function readOneMoment(trx: Queries): Promise<void> {
  await sql`set transaction isolation level repeatable read, read only`.execute(trx);
  await sql`set local application_name = ${sql.lit(AUDIT_NAME)}`.execute(trx);
}

/** PostgreSQL's own time, which all records are stamped with. Throws `store_unavailable`. */
export function readClock(db: Database): Promise<Date> {
  return db.read(async (queries) => {
    const { rows } = await sql<{ at: Date }>`select clock_timestamp() as at`.execute(queries);
    const [row] = rows;
    if (row === undefined) throw new Error('a clock without a time');
    return row.at;
  });
}

/** The beginning of the transaction, however long it lasts: what it reads does not get any older meanwhile. */
const age = (moment: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`(extract(epoch from now() - ${moment}) * 1000)::float8`;

async function readConsumers(trx: Queries): Promise<ConsumerRecord[]> {
  const { rows } = await sql<ConsumerRecord>`
    select c.id, c.name, c.state, coalesce(h.mode, 'normal') as mode, c.deleted_at is not null as "isDeleted",
      ${age(sql`greatest(c.state_since, h.throttled_until, (
        select max(g.at) from consumer_changes g where g.consumer_id = c.id and g.action = 'trouble_ended'))`)} as "openForMs",
      case when exists (select from deliveries d where d.consumer_id = c.id and d.status = 'pending'
          and d.token is not null and d.next_attempt_at > now()) then 0
        else (select ${age(sql`max(a.started_at + a.duration_ms * interval '1 millisecond')`)} from attempts a
              where a.consumer_id = c.id and a.started_at > now() - interval '5 minutes') end as "lastAttemptForMs",
      (select ${age(sql`max(d.created_at)`)} from attempts a join deliveries d on d.id = a.delivery_id
       where a.consumer_id = c.id and a.started_at > now() - interval '1 minute') as "youngestSentForMs",
      (select coalesce(jsonb_agg(jsonb_build_object('at', g.at, 'wants',
         case when g.types is not null then jsonb_build_object('types', g.types, 'filter', g.filter) end)
         order by g.id), '[]')
       from consumer_changes g where g.consumer_id = c.id) as history
    from consumers c left join consumer_health h on h.consumer_id = c.id order by c.id`.execute(trx);
  return rows;
}

async function readOrders(trx: Queries, afterId: string, limit: number): Promise<OrderRecord[]> {
  const { rows } = await sql<OrderRecord>`
    select o.id, o.status, o.event_sequence as "eventSequence", o.confirmed_at as "confirmedAt",
      o.finished_at as "finishedAt",
      (select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'status', f.status, 'dispatchedAt', f.dispatched_at,
         'deliveredAt', f.delivered_at) order by f.ordinal), '[]')
       from fulfillments f where f.order_id = o.id) as fulfillments,
      (select coalesce(jsonb_agg(jsonb_build_object('operation', p.operation, 'phase', p.phase, 'code', p.code)
         order by p.id), '[]')
       from payment_entries p where p.order_id = o.id and p.phase <> 'request') as payments,
      (select jsonb_build_object('opened', count(*), 'closed', count(a.closed_at))
       from attentions a where a.order_id = o.id) as attentions,
      (select coalesce(json_agg(json_build_object('id', e.id, 'sequence', e.sequence, 'type', e.type, 'at', e.at,
         'replaces', e.replaces, 'body', e.body) order by e.sequence, e.at), '[]')
       from events e where e.order_id = o.id) as events,
      coalesce(sent.deliveries, '[]') as deliveries
    from orders o left join lateral (
      select json_agg(json_build_object('id', d.id, 'eventId', d.event_id, 'consumerId', d.consumer_id,
        'sequence', d.sequence, 'status', d.status, 'isLate', d.is_late, 'cause', d.cause, 'attempts', d.attempts,
        'isUnderWay', d.token is not null and d.next_attempt_at > now(),
        'dueForMs', ${age(sql`d.next_attempt_at`)}, 'settledAt', d.settled_at, 'settledForMs', ${age(sql`d.settled_at`)},
        'logged', log.logged, 'loggedDelivered', log.delivered, 'actions', acts.actions)) as deliveries
      from deliveries d,
        lateral (select count(*) as logged, count(*) filter (where a.outcome = 'delivered') as delivered
                 from attempts a where a.delivery_id = d.id) as log,
        lateral (select coalesce(json_agg(l.action order by l.id), '[]') as actions
                 from dead_letter_actions l where l.delivery_id = d.id) as acts
      where d.event_id in (select id from events where order_id = o.id)
    ) sent on true
    where o.id > ${afterId} order by o.id limit ${limit}`.execute(trx);
  return rows;
}
