import { type Selectable, sql, type Updateable } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import { fulfillmentMayBecome, type FulfillmentStatus } from '../../domain/fulfillment.ts';
import type { LockedOrder } from './change.ts';
import type { FulfillmentsTable } from './schema.ts';

export type FulfillmentRow = Selectable<FulfillmentsTable>;

/** Reads one fulfillment under the order's lock. Throws `not_found`. */
export async function findFulfillment({ trx, row }: LockedOrder, fulfillmentId: string): Promise<FulfillmentRow> {
  const fulfillment = await trx
    .selectFrom('fulfillments')
    .selectAll()
    .where('id', '=', fulfillmentId)
    .where('order_id', '=', row.id)
    .executeTakeFirst();
  if (fulfillment === undefined) {
    throw new DomainFailure('not_found', `Order ${row.id} has no fulfillment ${fulfillmentId}.`);
  }
  return fulfillment;
}

/** The one writer of a fulfillment's status. Throws `illegal_transition`. */
export async function moveFulfillment(
  { trx }: LockedOrder,
  fulfillment: FulfillmentRow,
  status: FulfillmentStatus,
  set: Omit<Updateable<FulfillmentsTable>, 'status'> = {},
): Promise<void> {
  if (!fulfillmentMayBecome(fulfillment.status, status)) {
    throw new DomainFailure(
      'illegal_transition',
      `Fulfillment ${fulfillment.id} is ${fulfillment.status} and cannot become ${status}.`,
    );
  }
  await trx
    .updateTable('fulfillments')
    .set({ ...set, status })
    .where('id', '=', fulfillment.id)
    .execute();
}

/** Whether a booking of the fulfillment is in force or may be: made or asked for, and not forbidden since. */
export async function hasBooking({ trx, row }: LockedOrder, fulfillmentId: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from effects
    where order_id = ${row.id} and kind = 'book' and fulfillment_id = ${fulfillmentId} and tombstoned_at is null
      and (outcome is null or outcome ->> 'outcome' = 'booked')`.execute(trx);
  return rows.length > 0;
}

/** The order's fulfillments in the order in which they were planned. */
export function listFulfillments({ trx, row }: LockedOrder): Promise<FulfillmentRow[]> {
  return trx.selectFrom('fulfillments').selectAll().where('order_id', '=', row.id).orderBy('ordinal').execute();
}
