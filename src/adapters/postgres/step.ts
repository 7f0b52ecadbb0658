import { sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import { isTerminal } from '../../domain/order.ts';
import type { StepRef } from '../../domain/step-ports.ts';
import { type LockedOrder, withOrder } from './change.ts';
import type { Database, Queries } from './database.ts';

/**
 * Runs a step on our own database once per key: `effect`, its result and all that it writes commit together under the
 * order's lock. A key that was settled before gets its stored result and changes nothing. Throws `step_undone` if the
 * key was tombstoned, settled or not, `not_found`, `illegal_transition` if the order is at its end, and whatever `effect`
 * throws; then nothing is stored and the key may be tried again. `atEnd` lets a step through that only tidies up.
 * `Result` must survive JSON.
 */
export function ownStep<Result>(
  db: Database,
  step: StepRef,
  effect: (order: LockedOrder) => Promise<Result>,
  { atEnd = false }: { readonly atEnd?: boolean } = {},
): Promise<Result> {
  return withOrder(db, step.orderId, async (order) => {
    const { trx } = order;
    // A statement of its own: it must see what the transaction that held the lock before has committed.
    const known = await findStep(trx, step.key);
    if (known && known.tombstoned_at !== null) throw undone(step.key);
    if (known && known.settled_at !== null) return known.result as Result;
    if (!atEnd) requireOpen(order, `step ${step.key}`);
    const result = await effect(order);
    await sql`
      insert into steps (key, order_id, result, settled_at)
      values (${step.key}, ${step.orderId}, ${JSON.stringify(result ?? null)}::jsonb, ${order.at})`.execute(trx);
    return result;
  });
}

/**
 * Forbids `key`, settled or not: an attempt that comes later throws `step_undone`, so that nobody builds on what was
 * taken back. Needs the order's lock.
 */
export async function tombstoneStep(order: LockedOrder, key: string): Promise<void> {
  await sql`
    insert into steps (key, order_id, tombstoned_at) values (${key}, ${order.row.id}, ${order.at})
    on conflict (key) do update set tombstoned_at = coalesce(steps.tombstoned_at, excluded.tombstoned_at)`.execute(
    order.trx,
  );
}

/** Forbids `key` unless it has settled. Needs the order's lock. */
export async function tombstoneUnsettledStep(order: LockedOrder, key: string): Promise<void> {
  await sql`
    insert into steps (key, order_id, tombstoned_at) values (${key}, ${order.row.id}, ${order.at})
    on conflict (key) do nothing`.execute(order.trx);
}

/** Throws `illegal_transition` if the order is at its end: `what` would begin it anew. */
export function requireOpen({ row }: LockedOrder, what: string): void {
  if (!isTerminal(row.status)) return;
  throw new DomainFailure('illegal_transition', `Order ${row.id} is ${row.status}: it is too late for ${what}.`);
}

export function undone(key: string): DomainFailure {
  return new DomainFailure('step_undone', `Step ${key} was undone before this attempt: it must not happen any more.`);
}

function findStep(trx: Queries, key: string) {
  return trx
    .selectFrom('steps')
    .select(['result', 'settled_at', 'tombstoned_at'])
    .where('key', '=', key)
    .executeTakeFirst();
}
