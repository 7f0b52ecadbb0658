import { type Selectable, sql } from 'kysely';
import { type ConsumerHealth, hear } from '../../domain/consumer-health.ts';
import { type Settlement, wordsOf } from '../../domain/delivery-ports.ts';
import { noteChanges } from './consumer-changes.ts';
import { ago, type Queries } from './database.ts';
import type { ConsumerHealthTable } from './schema.ts';

export type HealthRow = Pick<
  Selectable<ConsumerHealthTable>,
  | 'mode'
  | 'epoch'
  | 'failing_orders'
  | 'connection_failures'
  | 'failures'
  | 'successes'
  | 'relapses'
  | 'reason'
  | 'throttle_streak'
> & { readonly consumer_id: string };

/** What a `HealthRow` is read by, but for the consumer's id; `h` is the health. */
export const healthColumns = sql`h.mode, h.epoch, h.failing_orders, h.connection_failures, h.failures, h.successes,
  h.relapses, h.reason, h.throttle_streak`;

/** After trouble began or came back: long enough for its workflow to be there and decide. */
const FIRST_PROBE_MS = 1000;
/** The longest that a consumer waits which says that it is overloaded, and not for how long. */
const LONGEST_THROTTLE_MS = 5 * 60_000;
const MOST_DOUBLINGS = 6;
/**
 * Failures further apart say nothing of the time in between, in which nothing was tried. Longer than a consumer that
 * is being probed can put off the next probe.
 */
const LONGEST_GAP_MS = 2 * 3_600_000;

export function healthOf(row: HealthRow): ConsumerHealth {
  return {
    mode: row.mode,
    epoch: row.epoch,
    failingOrders: row.failing_orders,
    connectionFailures: row.connection_failures,
    failures: row.failures,
    successes: row.successes,
    relapses: row.relapses,
    reason: row.reason,
  };
}

export interface LockedHealth extends HealthRow {
  readonly is_throttled: boolean;
}

/**
 * Holds the health of these consumers until the transaction ends. The consumers' own rows only against whoever takes
 * them whole, because what is noted of them later would wait for that.
 */
export async function lockHealth(trx: Queries, consumerIds: readonly string[]): Promise<LockedHealth[]> {
  if (consumerIds.length === 0) return [];
  const { rows } = await sql<LockedHealth>`
    select h.consumer_id, ${healthColumns}, coalesce(h.throttled_until > ${ago(0)}, false) as is_throttled
    from consumers c join consumer_health h on h.consumer_id = c.id
    where c.id = any(${consumerIds}) order by c.id
    for key share of c for no key update of h`.execute(trx);
  return rows;
}

/** A consumer's health before and after what its settlements say of it. */
export interface Heard {
  readonly row: LockedHealth;
  readonly health: ConsumerHealth;
  /** Whether it worked, and whether it failed, at any time in between. */
  readonly worked: boolean;
  readonly failed: boolean;
  readonly throttle: { readonly streak: number; readonly waitMs: number | null };
}

export function listen(row: LockedHealth, settlements: readonly Settlement[]): Heard {
  const words = wordsOf(settlements);
  return {
    row,
    health: words.reduce(hear, healthOf(row)),
    worked: words.some(({ says }) => says === 'works'),
    failed: words.some(({ says }) => says === 'fails'),
    throttle: throttleOf(row, settlements),
  };
}

/**
 * Doubles with each time that it is overloaded again after the wait: those that were under way meanwhile say nothing
 * new. One that takes some and refuses others is not made to wait for longer and longer.
 */
function throttleOf(row: LockedHealth, settlements: readonly Settlement[]): Heard['throttle'] {
  const before = settlements.some(({ verdict }) => verdict.next === 'delivered') ? 0 : row.throttle_streak;
  const streak = row.is_throttled ? Math.max(1, before) : before + 1;
  const factor = 2 ** Math.min(streak - 1, MOST_DOUBLINGS);
  const waits = settlements.flatMap(({ result, verdict }) => {
    if (verdict.next === 'delivered' || verdict.throttleMs === null) return [];
    const { throttleMs } = verdict;
    return [result.retryAfterMs === null ? Math.min(LONGEST_THROTTLE_MS, throttleMs * factor) : throttleMs];
  });
  return waits.length === 0 ? { streak: before, waitMs: null } : { streak, waitMs: Math.max(...waits) };
}

/** Writes the healths that changed, and notes where trouble began. */
export async function writeHealth(trx: Queries, heard: readonly Heard[]): Promise<void> {
  const changed = heard.filter(isChanged);
  if (changed.length === 0) return;
  const rows = changed.map(({ row, health, worked, failed, throttle }) => ({
    id: row.consumer_id,
    ...health,
    worked,
    failed,
    ...throttle,
  }));
  await sql`
    update consumer_health h set mode = n.mode, epoch = n.epoch, failing_orders = n."failingOrders",
      connection_failures = n."connectionFailures", failures = n.failures, successes = n.successes,
      relapses = n.relapses, reason = n.reason, failed_at = case when n.failed then ${ago(0)} else h.failed_at end,
      failing_since = case when n.failures = 0 then null
        when n.worked or h.failing_since is null or n.failed and h.failed_at < ${ago(LONGEST_GAP_MS)} then ${ago(0)}
        else h.failing_since end,
      trouble_since = case when n.epoch = h.epoch then h.trouble_since else ${ago(0)} end,
      send_limit = case when n.mode = h.mode then h.send_limit end,
      next_probe_at = case when n.mode = h.mode then h.next_probe_at else ${ago(-FIRST_PROBE_MS)} end,
      throttled_until = greatest(h.throttled_until, ${ago(0)} + n."waitMs" * interval '1 millisecond'),
      throttle_streak = n.streak
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as n (id text, mode text, epoch int, "failingOrders" text[],
      "connectionFailures" int, failures int, successes int, relapses int, reason text, worked boolean, failed boolean,
      streak int, "waitMs" float8)
    where h.consumer_id = n.id`.execute(trx);
  const began = changed.filter(hasBegun).map(({ row, health: { reason } }) => ({ id: row.consumer_id, reason }));
  await noteChanges(trx, 'trouble_began', began);
}

/** Whether this is news to whoever sees to a consumer in trouble. */
export function hasBegun({ row, health }: Heard): boolean {
  return health.epoch !== row.epoch;
}

function isChanged({ row, health, failed, throttle }: Heard): boolean {
  const isThrottled = throttle.waitMs !== null || throttle.streak !== row.throttle_streak;
  return failed || isThrottled || JSON.stringify(health) !== JSON.stringify(healthOf(row));
}
