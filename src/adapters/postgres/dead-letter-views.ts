import { type RawBuilder, sql } from 'kysely';
import type {
  DeadLetterDetails,
  DeadLetterFilter,
  DeadLetterGroup,
  DeadLetterGrouping,
  DeadLetterView,
  DeliveryStatus,
  Page,
  PageRequest,
} from '../../domain/consumer-ports.ts';
import { likePattern } from '../../domain/consumers.ts';
import type { DeadCause } from '../../domain/delivery.ts';
import type { EventType } from '../../domain/events.ts';
import { readLogs } from './attempt-log.ts';
import { keyset, whereAll } from './cursor.ts';
import type { Queries } from './database.ts';

const oldest = keyset('oldest', [
  ['d.settled_at', 'time'],
  ['d.id', 'integer'],
]);

/** A delivery, its event and its consumer, a deleted one too. */
const letters = sql`deliveries d join events e on e.id = d.event_id join consumers c on c.id = d.consumer_id`;

interface LetterRow {
  readonly id: number;
  readonly consumer_id: string;
  readonly consumer_name: string;
  readonly event_id: string;
  readonly type: EventType;
  readonly order_id: string;
  readonly sequence: number;
  readonly cause: DeadCause;
  readonly attempts: number;
  readonly event_at: Date;
  readonly dead_since: Date;
  readonly last_status: number | null;
  readonly last_error: string | null;
}

const columns = sql`d.id, d.consumer_id, c.name as consumer_name, d.event_id, e.type, d.order_id, d.sequence,
  d.attempts, e.at as event_at, d.last_status, d.last_error`;

/** The dead letters that `filter` names, over `letters`. */
function matching(filter: DeadLetterFilter): RawBuilder<unknown>[] {
  const { cause, consumerId, orderId, since, type, until } = filter;
  return [
    sql`d.status = 'dead'`,
    ...(consumerId === undefined ? [] : [sql`d.consumer_id = ${consumerId}`]),
    ...(cause === undefined ? [] : [sql`d.cause = ${cause}`]),
    ...(type === undefined ? [] : [sql`e.type like ${likePattern(type)}`]),
    ...(orderId === undefined ? [] : [sql`d.order_id = ${orderId}`]),
    ...(since === undefined ? [] : [sql`d.settled_at >= ${since}::timestamptz`]),
    ...(until === undefined ? [] : [sql`d.settled_at < ${until}::timestamptz`]),
  ];
}

/** Selects `id` of what a redrive takes in: no letter waits for two redrives, and none for a consumer that is gone. */
export function redrivable(filter: DeadLetterFilter): RawBuilder<unknown> {
  const where = whereAll([
    ...matching(filter),
    sql`c.deleted_at is null`,
    sql`not exists (select 1 from redrives r
      where r.id = d.redrive_id and d.redriven_at is null and r.finished_at is null)`,
  ]);
  return sql`select d.id from ${letters} ${where}`;
}

export async function countRedrivable(queries: Queries, filter: DeadLetterFilter): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from (${redrivable(filter)}) as found`.execute(queries);
  return rows[0]?.count ?? 0;
}

export async function listDeadLetters(
  queries: Queries,
  filter: DeadLetterFilter,
  { limit, cursor }: PageRequest,
): Promise<Page<DeadLetterView>> {
  const where = whereAll([...matching(filter), ...(cursor === undefined ? [] : [oldest.after(cursor)])]);
  const { rows } = await sql<LetterRow>`
    select ${columns}, d.cause, d.settled_at as dead_since from ${letters} ${where}
    order by ${oldest.orderBy} limit ${limit + 1}`.execute(queries);
  return oldest.page(rows, limit, (row) => [row.dead_since, row.id], viewOf);
}

const groupColumns = {
  cause: sql`d.cause`,
  consumer: sql`d.consumer_id`,
  type: sql`e.type`,
} as const satisfies Record<DeadLetterGrouping, unknown>;

/** The largest first. */
export async function groupDeadLetters(
  queries: Queries,
  filter: DeadLetterFilter,
  by: DeadLetterGrouping,
): Promise<readonly DeadLetterGroup[]> {
  const { rows } = await sql<{ key: string; count: number; oldest: Date; newest: Date; example: string | null }>`
    select ${groupColumns[by]} as key, count(*) as count, min(d.settled_at) as oldest, max(d.settled_at) as newest,
      (array_agg(d.last_error order by d.settled_at desc, d.id desc))[1] as example
    from ${letters} ${whereAll(matching(filter))} group by 1 order by 2 desc, 1`.execute(queries);
  return rows.map((row) => ({ ...row, oldest: row.oldest.toISOString(), newest: row.newest.toISOString() }));
}

interface DetailsRow extends LetterRow {
  readonly status: DeliveryStatus;
  readonly body: string;
}

/** Dead, or once acted upon: then it is shown as it was when it was dead the last time. */
export async function findDeadLetter(queries: Queries, id: number): Promise<DeadLetterDetails | undefined> {
  const { rows } = await sql<DetailsRow>`
    select ${columns}, d.status, e.body, coalesce(d.cause, last.cause) as cause,
      case when d.status = 'dead' then d.settled_at else last.dead_since end as dead_since
    from ${letters} left join lateral (
      select cause, dead_since from dead_letter_actions where delivery_id = d.id order by id desc limit 1
    ) last on true
    where d.id = ${id} and (d.status = 'dead' or last.cause is not null)`.execute(queries);
  const [row] = rows;
  if (row === undefined) return undefined;
  const logOf = await readLogs(queries, [id]);
  const actions = await queries
    .selectFrom('dead_letter_actions')
    .select(['at', 'action', 'actor', 'reason'])
    .where('delivery_id', '=', id)
    .orderBy('id')
    .execute();
  return {
    ...viewOf(row),
    status: row.status,
    envelope: JSON.parse(row.body) as DeadLetterDetails['envelope'],
    log: logOf(id),
    actions: actions.map((done) => ({ ...done, at: done.at.toISOString() })),
  };
}

function viewOf(row: LetterRow): DeadLetterView {
  return {
    id: String(row.id),
    consumerId: row.consumer_id,
    consumerName: row.consumer_name,
    eventId: row.event_id,
    type: row.type,
    orderId: row.order_id,
    sequence: row.sequence,
    cause: row.cause,
    attempts: row.attempts,
    eventAt: row.event_at.toISOString(),
    deadSince: row.dead_since.toISOString(),
    lastStatus: row.last_status,
    lastError: row.last_error,
  };
}
