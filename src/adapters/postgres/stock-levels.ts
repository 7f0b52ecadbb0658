import { sql } from 'kysely';
import type { AvailableStock } from '../../domain/reservation.ts';
import type { Queries } from './database.ts';

/** A change of one stock row. */
export interface StockMove {
  readonly sku: string;
  readonly location: string;
  readonly onHand: number;
  readonly reserved: number;
}

/**
 * Locks what is available of `skus`, in the one order of all that lock stock, (SKU, location), so that no two
 * transactions wait for each other.
 */
export async function lockAvailable(trx: Queries, skus: readonly string[]): Promise<readonly AvailableStock[]> {
  const { rows } = await sql<AvailableStock>`
    select sku, location, on_hand - reserved as available from stock
    where sku = any(${skus}) and on_hand > reserved
    order by sku, location for update`.execute(trx);
  return rows;
}

/** Applies all moves in one statement, locking in the same order. The table's checks refuse what would go below zero. */
export async function moveStock(trx: Queries, moves: readonly StockMove[]): Promise<void> {
  const sums = new Map<string, StockMove>();
  for (const move of moves) {
    const place = JSON.stringify([move.sku, move.location]);
    const sum = sums.get(place) ?? { ...move, onHand: 0, reserved: 0 };
    sums.set(place, { ...sum, onHand: sum.onHand + move.onHand, reserved: sum.reserved + move.reserved });
  }
  if (sums.size === 0) return;
  const rows = [...sums.values()];
  const { numAffectedRows } = await sql`
    with move as (
      select * from unnest(
        ${rows.map((row) => row.sku)}::text[], ${rows.map((row) => row.location)}::text[],
        ${rows.map((row) => row.onHand)}::bigint[], ${rows.map((row) => row.reserved)}::bigint[]
      ) as m (sku, location, on_hand, reserved)
    ), locked as materialized (
      select s.sku, s.location from stock s join move using (sku, location) order by s.sku, s.location for update of s
    )
    update stock s set on_hand = s.on_hand + move.on_hand, reserved = s.reserved + move.reserved
    from locked join move using (sku, location)
    where s.sku = locked.sku and s.location = locked.location`.execute(trx);
  if (Number(numAffectedRows ?? 0) !== rows.length)
    throw new Error(`${rows.length} stock rows were to move, not all exist`);
}
