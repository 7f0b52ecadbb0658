import { randomBytes, randomUUID } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import {
  ERASED,
  type Erasure,
  type ErasureRequest,
  type Erasures,
  reasonCode,
  withoutPerson,
} from '../../domain/erasure.ts';
import type { EventEnvelope } from '../../domain/events.ts';
import { DomainFailure } from '../../domain/failures.ts';
import type { Database, Queries } from './database.ts';

/** Few enough that no statement takes long, and that nobody waits long for an order that is locked. */
const AT_A_TIME = 100;
const MOST_NAMED = 5;

/**
 * `hashesOf` is what a customer who was forgotten is recognized by, the one to keep first; where there are none, nobody
 * is recognized, and each request is kept by itself.
 */
export function postgresErasure(db: Database, hashesOf: (customerId: string) => readonly string[]): Erasures {
  return {
    async erase(customerId, request) {
      await db.read((queries) => requireAtEnd(queries, customerId));
      const id = await db.transaction((trx) => begin(trx, hashesOf(customerId), request));
      const pseudonym = pseudonymOf(id);
      await db.transaction((trx) => eraseBesideOrders(trx, customerId, pseudonym, request.actor));
      for (;;) {
        const erased = await db.transaction((trx) => eraseSome(trx, { id, customerId, pseudonym }));
        if (erased < AT_A_TIME) break;
      }
      // Nobody is kept from ordering meanwhile.
      await db.read((queries) => requireAtEnd(queries, customerId));
      return db.read((queries) => read(queries, id));
    },
  };
}

function pseudonymOf(id: string): string {
  return `${ERASED}-${id}`;
}

/** A request's effect may still land, and an attempt to deliver an event still bring an answer. */
const isUnderWay = sql`(
  exists (select 1 from effects e where e.order_id = o.id and e.requested_at is not null and e.outcome is null)
  or exists (
    select 1 from deliveries d where d.order_id = o.id and d.status = 'pending' and d.token is not null
      and d.next_attempt_at > clock_timestamp()))`;

async function requireAtEnd(queries: Queries, customerId: string): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    select o.id from orders o where o.customer_id = ${customerId} and (o.finished_at is null or ${isUnderWay})
    order by o.created_at, o.id limit ${MOST_NAMED + 1}`.execute(queries);
  refuse(rows.map(({ id }) => id));
}

/** The ids of orders are nobody's name. */
function refuse(ids: readonly string[]): void {
  if (ids.length === 0) return;
  const named = ids.slice(0, MOST_NAMED).join(', ');
  throw new DomainFailure(
    'conflict',
    `orders of this customer are not at their end, or an event of theirs is on its way to a consumer: ${named}${ids.length > MOST_NAMED ? ' and more' : ''}. Ask again once they are.`,
  );
}

async function begin(trx: Queries, hashes: readonly string[], request: ErasureRequest): Promise<string> {
  const [hash = randomBytes(32).toString('hex')] = hashes;
  await sql`select pg_advisory_xact_lock(hashtextextended(${`erasure ${hash}`}, 0))`.execute(trx);
  const { rows } = await sql<{ id: string }>`
    select id from erasures where customer_hash = any(${[...hashes]}) order by at limit 1`.execute(trx);
  if (rows[0] !== undefined) return rows[0].id;
  const { actor, reason, auditId } = request;
  const id = randomUUID();
  await trx
    .insertInto('erasures')
    .values({ id, customer_hash: hash, orders: 0, audit_id: auditId, actor, reason })
    .execute();
  return id;
}

async function read(queries: Queries, id: string): Promise<Erasure> {
  const row = await queries
    .selectFrom('erasures')
    .select(['orders', 'at'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return { id, customerId: pseudonymOf(id), orders: row.orders, at: row.at.toISOString() };
}

interface Subject {
  /** Of the erasure. */
  readonly id: string;
  readonly customerId: string;
  readonly pseudonym: string;
}

/** How many; fewer than `AT_A_TIME` once there are no more. */
async function eraseSome(trx: Queries, { id, customerId, pseudonym }: Subject): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select id from orders where customer_id = ${customerId} and finished_at is not null
    order by created_at, id limit ${AT_A_TIME} for update`.execute(trx);
  const ids = rows.map((row) => row.id);
  if (ids.length === 0) return 0;
  // The relay passes over rows that somebody holds: what it claims from now on, it claims after this.
  await sql`select 1 from deliveries where order_id = any(${ids}) for update`.execute(trx);
  const { rows: busy } = await sql<{ id: string }>`
    select o.id from orders o where o.id = any(${ids}) and ${isUnderWay} order by o.id`.execute(trx);
  refuse(busy.map((row) => row.id));
  // Told to the triggers of what is else never rewritten.
  await sql`select set_config('evenkeel.erasing', 'on', true)`.execute(trx);
  await eraseOrders(trx, ids, pseudonym);
  await eraseSteps(trx, ids);
  await eraseEvents(trx, ids, pseudonym);
  await eraseDeliveries(trx, ids);
  await sql`update erasures set orders = orders + ${ids.length} where id = ${id}`.execute(trx);
  return ids.length;
}

/** Codes stay, words go. */
function coded(column: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`case when ${column} is null or ${column} ~ ${reasonCode.source} then ${column} else ${ERASED} end`;
}

/**
 * What an order shows changes, and so does its version. The hash of its body would tell who guesses right. Whose key it
 * was is said with the order's id, for who comes back and is forgotten again may have chosen the same key twice.
 */
async function eraseOrders(trx: Queries, ids: readonly string[], pseudonym: string): Promise<void> {
  await sql`
    update orders set customer_id = ${pseudonym}, email = null, payment_token = ${ERASED}, body_hash = ${ERASED},
      caller = case when caller = 'customer:' || customer_id then ${`customer:${pseudonym}/`} || id else caller end,
      shipping_address = ${erasedAddress(sql`shipping_address`)}, reason = ${coded(sql`reason`)},
      cancel_reason = case when cancel_reason is null then null else ${ERASED} end,
      version = version + 1, erased_at = clock_timestamp()
    where id = any(${[...ids]})`.execute(trx);
  await sql`delete from idempotency_answers where order_id = any(${[...ids]})`.execute(trx);
  await sql`update inbox set digest = null, last_error = null where order_id = any(${[...ids]})`.execute(trx);
}

/** The country stays: taxes are paid by it. */
function erasedAddress(address: RawBuilder<unknown>): RawBuilder<unknown> {
  const nowhere = JSON.stringify({ name: ERASED, line1: ERASED, city: ERASED, postalCode: ERASED });
  return sql`${nowhere}::jsonb || jsonb_build_object('country', ${address} -> 'country')`;
}

async function eraseSteps(trx: Queries, ids: readonly string[]): Promise<void> {
  const all = [...ids];
  await sql`
    update effects set
      input = case kind
        when 'authorize' then input || jsonb_build_object('token', ${ERASED}::text)
        when 'book' then input || jsonb_build_object('address', ${erasedAddress(sql`input -> 'address'`)})
        else input end,
      outcome = outcome
        || case when outcome ? 'reason'
          then jsonb_build_object('reason', ${coded(sql`(outcome ->> 'reason')`)}) else '{}' end
        || case when outcome ? 'trackingNumber'
          then jsonb_build_object('trackingNumber', ${ERASED}::text) else '{}' end
    where order_id = any(${all})`.execute(trx);
  await sql`
    update payment_entries set code = ${ERASED}
    where order_id = any(${all}) and code is not null and code !~ ${reasonCode.source}`.execute(trx);
  await sql`
    update fulfillments set tracking_number = ${ERASED}
    where order_id = any(${all}) and tracking_number is not null`.execute(trx);
  await sql`update attentions set reason = ${coded(sql`reason`)} where order_id = any(${all})`.execute(trx);
  await sql`
    update decisions set correction = null, reason = ${ERASED}, detail = ${coded(sql`detail`)}
    where order_id = any(${all})`.execute(trx);
}

/** Ids, numbers, times and what it was that happened stay, and with them all that is sent and signed but the words. */
async function eraseEvents(trx: Queries, ids: readonly string[], pseudonym: string): Promise<void> {
  const events = await trx.selectFrom('events').select(['id', 'body']).where('order_id', 'in', ids).execute();
  const changed = events.flatMap(({ id, body }) => {
    const envelope = JSON.parse(body) as EventEnvelope;
    const erased = JSON.stringify({ ...envelope, data: withoutPerson(envelope.data, pseudonym) });
    return erased === body ? [] : [{ id, body: erased }];
  });
  await sql`
    update events e set body = erased.body
    from unnest(${changed.map(({ id }) => id)}::text[], ${changed.map(({ body }) => body)}::text[]) as erased (id, body)
    where e.id = erased.id`.execute(trx);
}

/** What consumers answered may repeat what they were sent. */
async function eraseDeliveries(trx: Queries, ids: readonly string[]): Promise<void> {
  const all = [...ids];
  await sql`
    update attempts a set answer = null, error = null from deliveries d
    where d.id = a.delivery_id and d.order_id = any(${all}) and (a.answer is not null or a.error is not null)`.execute(
    trx,
  );
  await sql`
    update deliveries set last_error = null where order_id = any(${all}) and last_error is not null`.execute(trx);
}

/** A key of the customer's own opens nothing any more. A message that became no order may be named after somebody. */
async function eraseBesideOrders(trx: Queries, customerId: string, pseudonym: string, actor: string): Promise<void> {
  await sql`
    update api_keys set customer_id = ${pseudonym}, name = ${ERASED},
      revoked_at = coalesce(revoked_at, clock_timestamp()), revoked_by = coalesce(revoked_by, ${actor})
    where customer_id = ${customerId}`.execute(trx);
  await sql`delete from idempotency_answers where caller = ${`customer:${customerId}`}`.execute(trx);
  await sql`
    update inbox set last_error = ${ERASED}
    where channel = 'amqp' and last_error is not null and strpos(last_error, ${customerId}) > 0`.execute(trx);
}
