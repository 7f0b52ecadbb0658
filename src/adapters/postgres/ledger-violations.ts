import { type RawBuilder, sql } from 'kysely';
import { type ViolationKind, type Violations, violationKinds } from '../../domain/fact-ports.ts';
import { readOneMoment } from './audit-records.ts';
import { ago, type Database, type Queries } from './database.ts';
import { undeliveredEvents } from './undelivered-events.ts';

/** What contradicts what, and where. */
export interface Violation {
  readonly subject: string;
  readonly problem: string;
}

/**
 * `recent`: what is open or ended within the last day, and of each no more than the newest `MOST`. `all`: what there is.
 */
type Scope = 'recent' | 'all';

const MOST = 10_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What is on its way, or about to be taken back by the reconciler, is there by then. */
const GRACE_MS = HOUR_MS;

/** Since when an order waits for a workflow; one that lost its own, since a person asked for another. */
export const startableSince = sql`case when incarnation = 0 then created_at else updated_at end`;
export const startable = sql`started_at is null and finished_at is null`;

/** How many violations of each kind there are of late; bounded however many orders there are. */
export async function countViolations(queries: Queries): Promise<Violations> {
  const counts = violationKinds.map(
    (kind) => sql`(select count(*) from (${found[kind]('recent')}) v) as ${sql.ref(kind)}`,
  );
  const { rows } = await sql<Record<ViolationKind, number>>`
    with suspects as materialized (${suspects('recent')}) select ${sql.join(counts)}`.execute(queries);
  const [row] = rows;
  if (row === undefined) throw new Error('a count without a row');
  return row;
}

/**
 * Names violations of one kind, no more than `limit`, among all orders there ever were; of events, those of the last
 * day. Takes its time, and holds up nobody. Throws `store_unavailable`.
 */
export async function findViolations(db: Database, kind: ViolationKind, limit: number): Promise<readonly Violation[]> {
  return db.transaction(async (trx) => {
    await readOneMoment(trx);
    await sql`set local statement_timeout = '10min'`.execute(trx);
    const { rows } = await sql<Violation>`
      with suspects as materialized (${suspects('all')})
      select subject, problem from (${found[kind]('all')}) v order by subject, problem limit ${limit}`.execute(trx);
    return rows;
  });
}

/** Each selects `subject` and `problem`; some from the `suspects`. */
const found: Readonly<Record<ViolationKind, (scope: Scope) => RawBuilder<unknown>>> = {
  double_charge: () => sql`
    select 'order ' || order_id as subject,
      case operation when 'authorize' then 'authorized ' else 'fulfillment ' || fulfillment_id || ' captured ' end
        || count(*) || ' times, by ' || string_agg(key, ', ' order by key) as problem
    from (${charges(sql`suspects`)}) c where not excused
    group by order_id, operation, fulfillment_id having count(*) > 1`,

  overcharge: () => sql`
    select 'order ' || c.order_id as subject,
      'captured ' || sum(c.amount_minor) || ', refunds deducted, of a total of ' || o.total_minor as problem
    from (${charges(sql`suspects`)}) c join orders o on o.id = c.order_id
    where c.operation = 'capture' and not c.excused
    group by c.order_id, o.total_minor having sum(c.amount_minor) > o.total_minor`,

  // An outage of Temporal, which keeps orders waiting, is paged as such (OrderNotStarted), and is over by then.
  lost_order: () => sql`
    select 'order ' || id as subject, 'is ' || status || ' since ' || ${startableSince} || ' without a workflow' as problem
    from orders where ${startable} and ${startableSince} <= ${ago(DAY_MS)}`,

  // What was captured is not held any more, even if it was refunded later.
  charged_after_end: (scope) => sql`
    select 'order ' || order_id as subject,
      'is at its end: ' || captured || ' captured and not refunded, ' || held || ' held' as problem
    from (
      select order_id, coalesce(sum(amount_minor) filter (where operation = 'capture' and not excused), 0) as captured,
        greatest(0, coalesce(sum(amount_minor) filter (where operation = 'authorize' and not excused), 0)
          - coalesce(sum(amount_minor) filter (where operation = 'capture'), 0)) as held
      from (${charges(sql`(${undone(scope)})`)}) c group by order_id
    ) money where captured > 0 or held > 0`,

  stock_mismatch: () => sql`
    select 'sku ' || sku || ' at ' || location as subject,
      coalesce(s.reserved, 0) || ' reserved, and the reservations add up to ' || coalesce(held.quantity, 0) as problem
    from stock s full join (
      select sku, location, sum(quantity) as quantity from reservations where state = 'reserved' group by 1, 2
    ) held using (sku, location)
    where coalesce(s.reserved, 0) <> coalesce(held.quantity, 0) or s.reserved < 0`,

  undelivered_event: () => undeliveredEvents(DAY_MS),
};

/** Selects `id` of orders that may be charged twice or too much, by their ledger alone: nearly always none. */
function suspects(scope: Scope): RawBuilder<unknown> {
  const orders =
    scope === 'all'
      ? sql`select id, total_minor from orders`
      : sql`(select id, total_minor from orders where finished_at is null
          order by coalesce(looked_at, updated_at) desc limit ${MOST})
        union all
        (select id, total_minor from orders where finished_at > ${ago(DAY_MS)} order by finished_at desc limit ${MOST})`;
  // For each order by itself, by index: joined, PostgreSQL would read the whole ledger.
  return sql`
    select o.id from (${orders}) o cross join lateral (
      select count(*) filter (where p.operation = 'authorize') as authorized,
        count(*) filter (where p.operation = 'capture') as captured,
        sum(p.amount_minor) filter (where p.operation = 'capture') as captured_minor
      from payment_entries p where p.order_id = o.id and p.phase = 'success'
    ) money
    where money.authorized > 1 or money.captured > 1 or money.captured_minor > o.total_minor`;
}

/** Selects `id` of orders that took nothing in the end, and had time to give everything back. */
function undone(scope: Scope): RawBuilder<unknown> {
  const recent = sql`and finished_at > ${ago(DAY_MS + GRACE_MS)} order by finished_at desc limit ${MOST}`;
  return sql`
    select id from orders where status in ('cancelled', 'rejected') and finished_at <= ${ago(GRACE_MS)}
    ${scope === 'recent' ? recent : sql``}`;
}

/**
 * All successful authorizations and captures of `orders`. Excused is what was taken back, what is about to be, and what
 * a person has seen to outside.
 */
function charges(orders: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select p.order_id, p.key, p.operation, p.amount_minor,
      case p.operation when 'capture' then coalesce(e.fulfillment_id, '') else '' end as fulfillment_id,
      e.undone_at is not null
        or e.tombstoned_at is not null and greatest(e.tombstoned_at, e.settled_at) > ${ago(GRACE_MS)}
        or exists (
          select 1 from attentions a
          where a.order_id = p.order_id and a.step = case p.operation when 'authorize' then 'void' else 'refund' end
            and a.closed_how ->> 'action' = 'skip' and a.fulfillment_id is not distinct from e.fulfillment_id
            and a.opened_at >= e.tombstoned_at
        ) as excused
    from ${orders} o join payment_entries p on p.order_id = o.id left join effects e on e.key = p.key
    where p.phase = 'success' and p.operation in ('authorize', 'capture')`;
}
