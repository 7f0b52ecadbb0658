import { sql } from 'kysely';
import type { PlannedFulfillment, ReservationResult, Stock, StepRef, UndoRef } from '../../domain/step-ports.ts';
import { type DemandLine, planReservation, type ReservationPart } from '../../domain/reservation.ts';
import { changeOrder, type LockedOrder } from './change.ts';
import type { Database } from './database.ts';
import { listFulfillments, moveFulfillment } from './fulfillments.ts';
import { lockAvailable, moveStock } from './stock-levels.ts';
import { ownStep, tombstoneStep, tombstoneUnsettledStep } from './step.ts';

export function postgresStock(db: Database): Stock {
  return {
    reserve: (step) => ownStep(db, step, (order) => reserve(order, step)),
    release: (undo) => ownStep(db, undo, (order) => release(order, undo), { atEnd: true }),
  };
}

async function reserve(order: LockedOrder, step: StepRef): Promise<ReservationResult> {
  const lines = await orderLines(order);
  const last = await lastOrdinal(order);
  const plan = planReservation(lines, await lockAvailable(order.trx, [...new Set(lines.map((line) => line.sku))]));
  if (plan.outcome === 'out_of_stock') return plan;
  const fulfillments = await insertFulfillments(order, step.key, last, plan.parts);
  await moveStock(
    order.trx,
    plan.parts.flatMap(({ location, items }) =>
      items.map(({ sku, quantity }) => ({ sku, location, onHand: 0, reserved: quantity })),
    ),
  );
  await changeOrder(order, { events: [{ type: 'evenkeel.order.stock_reserved.v1', data: { fulfillments } }] });
  return { outcome: 'reserved', fulfillments };
}

async function orderLines({ trx, row }: LockedOrder): Promise<DemandLine[]> {
  const rows = await trx
    .selectFrom('order_lines')
    .select(['line_no', 'sku', 'quantity', 'total_minor'])
    .where('order_id', '=', row.id)
    .orderBy('line_no')
    .execute();
  return rows.map((line) => ({
    lineNo: line.line_no,
    sku: line.sku,
    quantity: line.quantity,
    totalMinor: line.total_minor,
  }));
}

async function lastOrdinal({ trx, row }: LockedOrder): Promise<number> {
  const { last } = await trx
    .selectFrom('fulfillments')
    .select((e) => e.fn.coalesce(e.fn.max('ordinal'), sql<number>`0`).as('last'))
    .where('order_id', '=', row.id)
    .executeTakeFirstOrThrow();
  return last;
}

/** One fulfillment per part, called `<order id>-<ordinal>`; ordinals go on if the order was reserved before. */
async function insertFulfillments(
  { trx, row }: LockedOrder,
  reserveKey: string,
  last: number,
  parts: readonly ReservationPart[],
): Promise<PlannedFulfillment[]> {
  const rows = parts.map((part, index) => {
    const ordinal = last + 1 + index;
    return { part, ordinal, id: `${row.id}-${ordinal}` };
  });
  await trx
    .insertInto('fulfillments')
    .values(
      rows.map(({ id, ordinal, part }) => ({
        id,
        order_id: row.id,
        ordinal,
        reserve_key: reserveKey,
        location: part.location,
        amount_minor: part.amountMinor,
      })),
    )
    .execute();
  const items = rows.flatMap(({ id, part }) => part.items.map((item) => ({ id, location: part.location, ...item })));
  await sql`
    insert into reservations (order_id, fulfillment_id, line_no, sku, location, quantity)
    select ${row.id}, item.* from unnest(
      ${items.map((item) => item.id)}::text[], ${items.map((item) => item.lineNo)}::int[],
      ${items.map((item) => item.sku)}::text[], ${items.map((item) => item.location)}::text[],
      ${items.map((item) => item.quantity)}::bigint[]
    ) as item`.execute(trx);
  return rows.map(({ id, part }) => ({ id, location: part.location, amountMinor: part.amountMinor }));
}

async function release(
  order: LockedOrder,
  undo: UndoRef & { readonly fulfillmentId?: string | undefined },
): Promise<{ readonly releasedLines: number }> {
  const { trx, row } = order;
  const fulfillmentId = undo.fulfillmentId ?? null;
  // With one fulfillment given up, the reservation still stands for the others.
  await (fulfillmentId === null ? tombstoneStep : tombstoneUnsettledStep)(order, undo.undoes);
  const { rows: given } = await sql<{ fulfillment_id: string; sku: string; location: string; quantity: number }>`
    update reservations r set state = 'released' from fulfillments f
    where f.id = r.fulfillment_id and f.order_id = ${row.id} and f.reserve_key = ${undo.undoes}
      and (${fulfillmentId}::text is null or f.id = ${fulfillmentId}) and r.state = 'reserved'
    returning r.fulfillment_id, r.sku, r.location, r.quantity`.execute(trx);
  if (given.length === 0) return { releasedLines: 0 };
  const fulfillmentIds = [...new Set(given.map((line) => line.fulfillment_id))].toSorted();
  const pending = (await listFulfillments(order)).filter(
    ({ id, status }) => status === 'pending' && fulfillmentIds.includes(id),
  );
  // What has no stock any more cannot be sent.
  await Promise.all(pending.map((fulfillment) => moveFulfillment(order, fulfillment, 'cancelled')));
  await changeOrder(order, {
    events: [{ type: 'evenkeel.order.stock_released.v1', data: { fulfillmentIds, releasedLines: given.length } }],
  });
  // Last, because all orders for these SKUs wait for it.
  await moveStock(
    trx,
    given.map(({ sku, location, quantity }) => ({ sku, location, onHand: 0, reserved: -quantity })),
  );
  return { releasedLines: given.length };
}
