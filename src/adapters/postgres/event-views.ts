import { type Selectable, sql } from 'kysely';
import type { EventDetails, EventFilter, EventView, EventViews } from '../../domain/consumer-ports.ts';
import { likePattern } from '../../domain/consumers.ts';
import { readLogs } from './attempt-log.ts';
import { keyset } from './cursor.ts';
import { APPLICATION_NAME, type Database, type Queries } from './database.ts';
import type { Tables } from './schema.ts';

type EventRow = Selectable<Tables['events']>;

/** The order of an order's changes too: none is written with an earlier time than the one before. */
const oldest = keyset('oldest', [
  ['e.at', 'time'],
  ['e.order_id', 'text'],
  ['e.sequence', 'integer'],
  ['e.id', 'text'],
]);

export function postgresEventViews(db: Database): EventViews {
  return {
    list: async (filter) => {
      // A statement of its own, before the one that lists: see there.
      const settledBefore = await db.read(readHorizon);
      const rows = await db.read((queries) => listEvents(queries, filter, settledBefore));
      return oldest.page(rows, filter.limit, (row) => [row.at, row.order_id, row.sequence, row.id], viewOf);
    },
    find: (id) => db.read((queries) => findEvent(queries, id)),
  };
}

/**
 * The time before which no event is written any more. An event's time is taken within its transaction and seen at its
 * end: without this, whoever reads on behind the newest would miss one that is earlier and not committed yet. Whatever
 * can still be written comes from a transaction that runs now, and is not earlier than its beginning, or from one that
 * begins later. Ids of transactions would not tell: one of ours may have taken its time and no id yet. Of those of others
 * only such as write count, for a back-up runs for hours.
 */
async function readHorizon(queries: Queries): Promise<Date> {
  const { rows } = await sql<{ horizon: Date }>`
    select date_trunc('milliseconds', least(statement_timestamp(), min(xact_start)))::timestamptz(3) as horizon
    from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
      and (backend_xid is not null or application_name = ${APPLICATION_NAME})`.execute(queries);
  const [row] = rows;
  if (row === undefined) throw new Error('an aggregate has no row');
  return row.horizon;
}

async function listEvents(queries: Queries, filter: EventFilter, settledBefore: Date): Promise<EventRow[]> {
  const { cursor, limit, since, subject, type } = filter;
  const conditions = [
    sql`e.at < ${settledBefore}::timestamptz(3)`,
    ...(type === undefined ? [] : [sql`e.type like ${likePattern(type)}`]),
    ...(subject === undefined ? [] : [sql`e.order_id = ${subject}`]),
    ...(since === undefined ? [] : [sql`e.at >= ${since}::timestamptz`]),
    ...(cursor === undefined ? [] : [oldest.after(cursor)]),
  ];
  const { rows } = await sql<EventRow>`
    select e.* from events e where ${sql.join(conditions, sql` and `)}
    order by ${oldest.orderBy} limit ${limit + 1}`.execute(queries);
  return rows;
}

async function findEvent(queries: Queries, id: string): Promise<EventDetails | undefined> {
  const event = await queries.selectFrom('events').selectAll().where('id', '=', id).executeTakeFirst();
  if (event === undefined) return undefined;
  const deliveries = await queries
    .selectFrom('deliveries as d')
    .innerJoin('consumers as c', 'c.id', 'd.consumer_id')
    .select(['d.id', 'd.consumer_id', 'c.name', 'd.status', 'd.attempts', 'd.next_attempt_at', 'd.settled_at'])
    .where('d.event_id', '=', id)
    .orderBy('d.id')
    .execute();
  const logOf = await readLogs(
    queries,
    deliveries.map((delivery) => delivery.id),
  );
  return {
    ...viewOf(event),
    deliveries: deliveries.map((row) => ({
      id: String(row.id),
      consumerId: row.consumer_id,
      consumerName: row.name,
      status: row.status,
      attempts: row.attempts,
      nextAttemptAt: row.status === 'pending' ? row.next_attempt_at.toISOString() : null,
      settledAt: row.settled_at?.toISOString() ?? null,
      log: logOf(row.id),
    })),
  };
}

function viewOf(row: EventRow): EventView {
  const { at, body, id, order_id: orderId, replaces, sequence, type } = row;
  const envelope = JSON.parse(body) as EventView['envelope'];
  return { id, type, orderId, sequence, at: at.toISOString(), replaces, envelope };
}
