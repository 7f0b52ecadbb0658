import { sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import type { EffectJournal, EffectKind, EffectRecord, EffectTypes, StrayEffect } from '../../domain/provider-ports.ts';
import type { StepRef } from '../../domain/step-ports.ts';
import { LATE } from '../../domain/steps.ts';
import { changeOrder, type LockedOrder, withOrder } from './change.ts';
import { ago, type Database, type Queries } from './database.ts';
import { afterSettling, type Outcome } from './effect-outcomes.ts';
import { findFulfillment, hasBooking } from './fulfillments.ts';
import { enterRequest } from './payment-entries.ts';
import { requireOpen, undone } from './step.ts';

interface EffectRow<K extends EffectKind> {
  readonly kind: EffectKind;
  readonly input: EffectTypes[K]['input'] | null;
  readonly outcome: Outcome<K> | null;
  readonly tombstoned_at: Date | null;
  readonly undone_at: Date | null;
}

export function postgresEffects(db: Database): EffectJournal {
  const open = <K extends EffectKind>(
    step: StepRef,
    kind: K,
    makeInput: (order: LockedOrder) => EffectTypes[K]['input'] | Promise<EffectTypes[K]['input']>,
  ) =>
    withOrder(db, step.orderId, async (order) => {
      const known = await findEffect(order.trx, step.key, kind);
      if (known && known.tombstoned_at !== null) throw undone(step.key);
      const record = known && recordOf(kind, known);
      if (record !== undefined) return { ...record, first: false };
      const input = await makeInput(order);
      await insertRequest(order, step.key, kind, input);
      await changeOrder(order, {});
      return { kind, input, outcome: undefined, first: true };
    });

  return {
    openAuthorize: (step) => open(step, 'authorize', authorizeInput),
    openBook: (step) => open(step, 'book', (order) => bookInput(order, step.fulfillmentId)),
    open: (step, kind, input) =>
      open(step, kind, (order) => {
        if (kind === 'capture') requireOpen(order, `step ${step.key}`);
        return input;
      }),
    settle: (step, kind, outcome) => withOrder(db, step.orderId, (order) => settle(order, step, kind, outcome)),
    tombstone: (step, kind) =>
      withOrder(db, step.orderId, async ({ trx, at }) => {
        await sql`
          insert into effects (key, order_id, kind, tombstoned_at)
          values (${step.key}, ${step.orderId}, ${kind}, ${at})
          on conflict (key) do update set tombstoned_at = coalesce(effects.tombstoned_at, excluded.tombstoned_at)
        `.execute(trx);
        const known = await findEffect(trx, step.key, kind);
        return known && recordOf(kind, known);
      }),
    find: (key, kind) =>
      db.read(async (queries) => {
        const known = await findEffect(queries, key, kind);
        return known && recordOf(kind, known);
      }),
    unsettled: (olderThanMs, limit) => db.read((queries) => takeUnsettled(queries, olderThanMs, limit)),
    strays: (limit) => db.read((queries) => findStrays(queries, limit)),
  };
}

/** Undefined if the key is unknown. Throws `conflict` if it belongs to an effect of another kind. */
async function findEffect<K extends EffectKind>(
  queries: Queries,
  key: string,
  kind: K,
): Promise<EffectRow<K> | undefined> {
  const { rows } = await sql<EffectRow<K>>`
    select kind, input, outcome, tombstoned_at, undone_at from effects where key = ${key}`.execute(queries);
  const [row] = rows;
  if (row !== undefined && row.kind !== kind) {
    throw new DomainFailure('conflict', `Key ${key} belongs to an effect of kind '${row.kind}', not '${kind}'.`);
  }
  return row;
}

/** Undefined if the key was tombstoned before anything was requested. */
function recordOf<K extends EffectKind>(kind: K, row: EffectRow<K>): EffectRecord<K> | undefined {
  if (row.input === null) return undefined;
  const takenBack = row.undone_at === null ? {} : { undone: true as const };
  return { kind, input: row.input, outcome: row.outcome ?? undefined, ...takenBack };
}

/** The order as it is now, corrections included: the input is fixed from here on. */
function authorizeInput(order: LockedOrder): EffectTypes['authorize']['input'] {
  const { row } = order;
  requireOpen(order, 'an authorization');
  return { orderId: row.id, amountMinor: row.total_minor, currency: row.currency, token: row.payment_token };
}

async function bookInput(order: LockedOrder, fulfillmentId: string): Promise<EffectTypes['book']['input']> {
  const { trx, row } = order;
  requireOpen(order, 'a booking');
  const { status, location } = await findFulfillment(order, fulfillmentId);
  if (status !== 'pending') {
    throw new DomainFailure('illegal_transition', `Fulfillment ${fulfillmentId} is ${status} and cannot be booked.`);
  }
  if (await hasBooking(order, fulfillmentId)) {
    throw new DomainFailure(
      'illegal_transition',
      `Fulfillment ${fulfillmentId} may be booked already, under another key. Undo that first.`,
    );
  }
  const { rows: items } = await sql<{ sku: string; quantity: number }>`
    select sku, sum(quantity)::bigint as quantity from reservations
    where fulfillment_id = ${fulfillmentId} group by sku order by min(line_no)`.execute(trx);
  return { orderId: row.id, fulfillmentId, location, address: row.shipping_address, items };
}

async function insertRequest<K extends EffectKind>(
  order: LockedOrder,
  key: string,
  kind: K,
  input: EffectTypes[K]['input'],
): Promise<void> {
  const { trx, row, at } = order;
  const fulfillmentId = 'fulfillmentId' in input ? input.fulfillmentId : null;
  await sql`
    insert into effects (key, order_id, kind, fulfillment_id, input, requested_at)
    values (${key}, ${row.id}, ${kind}, ${fulfillmentId}, ${JSON.stringify(input)}::jsonb, ${at})`.execute(trx);
  await enterRequest(order, key, kind, input);
}

async function settle<K extends EffectKind>(
  order: LockedOrder,
  step: StepRef,
  kind: K,
  outcome: Outcome<K>,
): Promise<Outcome<K>> {
  const { trx } = order;
  const known = await findEffect(trx, step.key, kind);
  const record = known && recordOf(kind, known);
  if (record === undefined) throw new DomainFailure('not_found', `Nothing was ever requested under key ${step.key}.`);
  const nothingNew = outcome.outcome === 'never_happened' || record.outcome?.outcome !== 'never_happened';
  if (record.outcome !== undefined && nothingNew) return record.outcome;
  await sql`
    update effects set outcome = ${JSON.stringify(outcome)}::jsonb, settled_at = ${order.at}
    where key = ${step.key}`.execute(trx);
  const forbidden = known?.tombstoned_at !== null;
  const events = await afterSettling(order, step.key, { kind, input: record.input, outcome, forbidden });
  await changeOrder(order, { events });
  return outcome;
}

const dayMs = 24 * 60 * 60 * 1000;

/**
 * Takes them: each is looked at again only after `olderThanMs` once more, so that an effect whose provider stays silent
 * holds up no other, and two reconcilers share the work.
 */
async function takeUnsettled(
  queries: Queries,
  olderThanMs: number,
  limit: number,
): Promise<readonly { orderId: string; key: string; kind: EffectKind }[]> {
  const { rows } = await sql<{ orderId: string; key: string; kind: EffectKind }>`
    with due as (
      select key, coalesce(looked_at, requested_at) as since from effects
      where requested_at is not null and (outcome is null or outcome ->> 'outcome' = 'never_happened')
        and coalesce(looked_at, requested_at) <= ${ago(olderThanMs)}
        and (outcome is null or settled_at > ${ago(dayMs)})
      order by since limit ${limit} for update skip locked
    ), taken as (
      update effects e set looked_at = clock_timestamp() from due where e.key = due.key
      returning e.order_id as "orderId", e.key, e.kind, due.since
    )
    select "orderId", key, kind from taken order by since, key`.execute(queries);
  return rows;
}

/** The longest that an undo is at work: it looks twice, a provider's longest attempt apart. */
const undoMs = 5 * 60 * 1000;

/**
 * Newest first: one that its provider cannot take back yet, and that stays here, holds up no other. An undo of our own
 * that was begun and not answered does not count as begun: nobody else will try it again.
 */
async function findStrays(queries: Queries, limit: number): Promise<readonly StrayEffect[]> {
  const { rows } = await sql<StrayEffect>`
    select e.order_id as "orderId", e.key, e.kind, e.fulfillment_id as "fulfillmentId"
    from effects e join orders o on o.id = e.order_id cross join lateral (
      select case e.kind when 'authorize' then 'void' when 'capture' then 'refund' else 'cancel_shipment' end as name,
        case e.kind when 'authorize' then 'authorizationId' when 'capture' then 'captureId' else 'shipmentId' end as id
    ) undo
    where e.tombstoned_at is not null and e.undone_at is null and e.settled_at > e.tombstoned_at
      and e.outcome ->> 'outcome' in ('authorized', 'captured', 'booked')
      and (o.finished_at is not null or e.tombstoned_at <= ${ago(undoMs)})
      and not exists (
        select 1 from effects u
        where u.order_id = e.order_id and u.kind = undo.name and u.input ->> undo.id = e.outcome ->> undo.id
          and (u.outcome is not null or u.key not like ${`%:${LATE}:%`}))
      and not exists (
        select 1 from attentions a
        where a.order_id = e.order_id and a.step = undo.name and a.closed_how ->> 'action' = 'skip'
          and a.fulfillment_id is not distinct from e.fulfillment_id and a.opened_at >= e.tombstoned_at)
    order by e.settled_at desc limit ${limit}`.execute(queries);
  return rows;
}
