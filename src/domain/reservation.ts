import { allocate } from './money.ts';

/** One line of an order, as far as a reservation is concerned. */
export interface DemandLine {
  readonly lineNo: number;
  readonly sku: string;
  readonly quantity: number;
  readonly totalMinor: number;
}

export interface AvailableStock {
  readonly sku: string;
  readonly location: string;
  readonly available: number;
}

/** What one location contributes: it becomes one fulfillment. */
export interface ReservationPart {
  readonly location: string;
  /** The part's share of the lines' totals; all parts add up to the lines' sum exactly. */
  readonly amountMinor: number;
  readonly items: readonly { readonly lineNo: number; readonly sku: string; readonly quantity: number }[];
}

export type ReservationPlan =
  | { readonly outcome: 'planned'; readonly parts: readonly ReservationPart[] }
  | { readonly outcome: 'out_of_stock'; readonly skus: readonly string[] };

/**
 * Decides where each line comes from: all lines or none. A location that holds everything is preferred (the one with
 * most available, then by name); otherwise, again and again, the location that covers most of what is still missing.
 */
export function planReservation(lines: readonly DemandLine[], stock: readonly AvailableStock[]): ReservationPlan {
  const demand = new Map<string, number>();
  for (const { sku, quantity } of lines) demand.set(sku, (demand.get(sku) ?? 0) + quantity);
  const total = new Map<string, number>();
  for (const { sku, available } of stock) total.set(sku, (total.get(sku) ?? 0) + available);
  const short = [...demand].filter(([sku, quantity]) => (total.get(sku) ?? 0) < quantity);
  if (short.length > 0) return { outcome: 'out_of_stock', skus: short.map(([sku]) => sku) };
  return { outcome: 'planned', parts: divide(lines, chooseLocations(demand, byLocation(stock))) };
}

type Pool = Map<string, number>;

function byLocation(stock: readonly AvailableStock[]): ReadonlyMap<string, Pool> {
  const pools = new Map<string, Pool>();
  for (const { sku, location, available } of stock) {
    const pool = pools.get(location) ?? new Map<string, number>();
    pools.set(location, pool.set(sku, available));
  }
  return pools;
}

/** The locations in the order in which they give, each with what it gives of every SKU. */
function chooseLocations(demand: ReadonlyMap<string, number>, pools: ReadonlyMap<string, Pool>): Map<string, Pool> {
  const missing = new Map(demand);
  const left = new Map(pools);
  const chosen = new Map<string, Pool>();
  while (missing.size > 0) {
    const [best] = [...left]
      .map(([location, pool]) => ({ location, pool, covers: covered(missing, pool), holds: held(missing, pool) }))
      .toSorted((a, b) => b.covers - a.covers || b.holds - a.holds || (a.location < b.location ? -1 : 1));
    if (best === undefined || best.covers === 0)
      throw new Error('stock that adds up to enough does not cover the demand');
    const given: Pool = new Map();
    for (const [sku, quantity] of missing) {
      const gives = Math.min(quantity, best.pool.get(sku) ?? 0);
      if (gives > 0) given.set(sku, gives);
      if (gives === quantity) missing.delete(sku);
      else missing.set(sku, quantity - gives);
    }
    chosen.set(best.location, given);
    left.delete(best.location);
  }
  return chosen;
}

function covered(missing: ReadonlyMap<string, number>, pool: Pool): number {
  return [...missing].reduce((sum, [sku, quantity]) => sum + Math.min(quantity, pool.get(sku) ?? 0), 0);
}

function held(missing: ReadonlyMap<string, number>, pool: Pool): number {
  return [...missing.keys()].reduce((sum, sku) => sum + (pool.get(sku) ?? 0), 0);
}

function divide(lines: readonly DemandLine[], chosen: ReadonlyMap<string, Pool>): ReservationPart[] {
  const parts = [...chosen].map(([location, pool]) => ({
    location,
    pool,
    amountMinor: 0,
    items: new Array<ReservationPart['items'][number]>(),
  }));
  for (const { lineNo, sku, quantity, totalMinor } of lines) {
    let need = quantity;
    const taken = parts.map(({ pool }) => {
      const takes = Math.min(need, pool.get(sku) ?? 0);
      pool.set(sku, (pool.get(sku) ?? 0) - takes);
      need -= takes;
      return takes;
    });
    const shares = allocate(totalMinor, taken);
    for (const [index, part] of parts.entries()) {
      const takes = taken[index] ?? 0;
      if (takes > 0) part.items.push({ lineNo, sku, quantity: takes });
      part.amountMinor += shares[index] ?? 0;
    }
  }
  return parts.map(({ location, amountMinor, items }) => ({ location, amountMinor, items }));
}
