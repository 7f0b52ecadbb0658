import { type RawBuilder, sql } from 'kysely';
import type { Facts, StoreFacts } from '../../domain/fact-ports.ts';
import { isTerminal, orderStatuses } from '../../domain/order.ts';
import type { StepName } from '../../domain/steps.ts';
import { readLags } from './consumer-lags.ts';
import type { Database, Queries } from './database.ts';
import { countViolations, startable, startableSince } from './ledger-violations.ts';

/** What the records say of now. */
export function postgresFacts(db: Database): Facts {
  return {
    read: () => db.read(async (queries) => ({ ...(await readStanding(queries)), lags: await readLags(queries) })),
    violations: () => db.read(countViolations),
  };
}

const openStatuses = orderStatuses.filter((status) => !isTerminal(status));
/** What takes back: stuck, these wait for a person with something half done. */
const undos: readonly StepName[] = ['release', 'void', 'cancel_shipment', 'refund'];

/** Open orders by `status`, which is in an index to count by; `finished_at`, which says the same, is not. */
async function readStanding(queries: Queries): Promise<Omit<StoreFacts, 'lags'>> {
  const { rows } = await sql<Omit<StoreFacts, 'lags' | 'failedCompensations'>>`
    select
      ${countsBy(sql`status`, sql`orders where status = any(${openStatuses})`)} as "openOrders",
      ${countsBy(sql`step`, sql`attentions where closed_at is null`)} as "openAttentions",
      ${countsBy(sql`cause`, sql`deliveries where status = 'dead'`)} as "deadLetters",
      ${ageOf(sql`(select min(${startableSince}) from orders where ${startable})`)} as "oldestStartableMs",
      ${ageOf(sql`(select min(requested_at) from effects where requested_at is not null and outcome is null
        and kind in ('authorize', 'capture', 'void', 'refund'))`)} as "oldestUnknownPaymentMs",
      (select count(*) from inbox where parked_at is not null) as "parkedMessages",
      -- Of other users one may not see more than that they are one.
      (select count(*) from pg_stat_activity
       where usesysid is not null and coalesce(backend_type, 'client backend') = 'client backend') as connections,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) as "connectionsMax",
      pg_database_size(current_database()) as "storeBytes"`.execute(queries);
  const [row] = rows;
  if (row === undefined) throw new Error('facts without a row');
  const failedCompensations = undos.reduce((sum, step) => sum + (row.openAttentions[step] ?? 0), 0);
  return { ...row, failedCompensations };
}

function countsBy(column: RawBuilder<unknown>, from: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select coalesce(json_object_agg(by, count), '{}')
    from (select ${column} as by, count(*) as count from ${from} group by 1) counts)`;
}

/** In milliseconds; 0 for no moment, and for one that is still to come. */
function ageOf(moment: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`coalesce(greatest(0, extract(epoch from clock_timestamp() - ${moment}) * 1000), 0)::float8`;
}
