import { type RawBuilder, type Selectable, sql } from 'kysely';
import type {
  ConsumerDetails,
  ConsumerHealthView,
  ConsumerView,
  ConsumerWithSecret,
  Page,
  PageRequest,
} from '../../domain/consumer-ports.ts';
import type { Destination } from '../../domain/delivery-ports.ts';
import { keyset, whereAll } from './cursor.ts';
import { ago, type Queries } from './database.ts';
import type { ConsumerHealthTable, ConsumersTable } from './schema.ts';

export type ConsumerRow = Selectable<ConsumersTable>;

/** `now`: PostgreSQL's, for what is over by itself. */
type Timed<Row> = Row & { readonly now: Date };

const oldest = keyset('oldest', [
  ['c.created_at', 'time'],
  ['c.id', 'text'],
]);

export async function listConsumers(queries: Queries, { limit, cursor }: PageRequest): Promise<Page<ConsumerView>> {
  const where = whereAll([sql`c.deleted_at is null`, ...(cursor === undefined ? [] : [oldest.after(cursor)])]);
  const rows = await readConsumers(queries, sql`${where} order by ${oldest.orderBy} limit ${limit + 1}`);
  return oldest.page(rows, limit, (row) => [row.created_at, row.id], viewOf);
}

/** `rest` is what follows `from consumers c`. */
async function readConsumers(queries: Queries, rest: RawBuilder<unknown>): Promise<Timed<ConsumerRow>[]> {
  const { rows } = await sql<Timed<ConsumerRow>>`
    select c.*, clock_timestamp() as now from consumers c ${rest}`.execute(queries);
  return rows;
}

/** Holds its row until the transaction ends. */
export async function lockConsumer(trx: Queries, id: string): Promise<Timed<ConsumerRow> | undefined> {
  const [row] = await readConsumers(trx, sql`where c.id = ${id} and c.deleted_at is null for update`);
  return row;
}

export async function readDestination(queries: Queries, id: string): Promise<Destination | undefined> {
  const [row] = await readConsumers(queries, sql`where c.id = ${id} and c.deleted_at is null`);
  if (row === undefined) return undefined;
  const former = isFormerValid(row) && row.former_secret !== null ? [row.former_secret] : [];
  return { consumerId: id, target: row.target, secrets: [row.secret, ...former] };
}

export function viewOf(row: Timed<ConsumerRow>): ConsumerView {
  return {
    id: row.id,
    name: row.name,
    target: row.target,
    types: row.types,
    filter: row.filter,
    maxInFlight: row.max_in_flight,
    state: row.state,
    stateReason: row.state_reason,
    stateSince: row.state_since.toISOString(),
    version: row.version,
    createdAt: row.created_at.toISOString(),
    formerSecretValidUntil: isFormerValid(row) ? iso(row.former_secret_until) : null,
  };
}

export function withSecret(row: Timed<ConsumerRow>): ConsumerWithSecret {
  return { ...viewOf(row), secret: row.secret };
}

function isFormerValid({ former_secret_until: until, now }: Timed<ConsumerRow>): boolean {
  return until !== null && until > now;
}

interface HealthRow extends Timed<ConsumerRow>, Pick<Selectable<ConsumerHealthTable>, 'mode' | 'epoch' | 'reason'> {
  readonly trouble_since: Date | null;
  readonly throttled_until: Date | null;
  readonly backlog: number;
  readonly lag_seconds: number;
  readonly dead_letters: number;
  readonly attempts: number;
  readonly successes: number;
  readonly last_success_at: Date | null;
}

export async function findConsumer(queries: Queries, id: string): Promise<ConsumerDetails | undefined> {
  const { rows } = await sql<HealthRow>`
    select c.*, clock_timestamp() as now, h.mode, h.epoch, h.reason, h.trouble_since, h.throttled_until,
      waiting.backlog, waiting.lag_seconds,
      (select count(*) from deliveries d where d.consumer_id = c.id and d.status = 'dead') as dead_letters,
      hour.attempts, hour.successes,
      (select a.started_at from attempts a where a.consumer_id = c.id and a.outcome = 'delivered'
       order by a.started_at desc limit 1) as last_success_at
    from consumers c join consumer_health h on h.consumer_id = c.id,
      lateral (
        select count(*) as backlog,
          coalesce(greatest(0, extract(epoch from clock_timestamp() - min(d.created_at))), 0)::float8 as lag_seconds
        from deliveries d where d.consumer_id = c.id and d.status = 'pending'
      ) waiting,
      lateral (
        select count(*) as attempts, count(*) filter (where a.outcome = 'delivered') as successes
        from attempts a where a.consumer_id = c.id and a.started_at >= ${ago(3_600_000)}
      ) hour
    where c.id = ${id} and c.deleted_at is null`.execute(queries);
  const [row] = rows;
  if (row === undefined) return undefined;
  return { ...viewOf(row), health: healthOf(row, await lastFailures(queries, id)) };
}

function healthOf(row: HealthRow, failures: ConsumerHealthView['lastFailures']): ConsumerHealthView {
  const { attempts, epoch, mode, now, successes, throttled_until: throttledUntil, trouble_since: since } = row;
  return {
    mode,
    trouble:
      mode === 'normal' ? null : { since: (since ?? now).toISOString(), reason: row.reason ?? 'not known', epoch },
    throttledUntil: throttledUntil !== null && throttledUntil > now ? throttledUntil.toISOString() : null,
    backlog: row.backlog,
    lagSeconds: row.lag_seconds,
    deadLetters: row.dead_letters,
    lastHour: { attempts, successes, successRate: attempts === 0 ? null : successes / attempts },
    lastSuccessAt: iso(row.last_success_at),
    lastFailures: failures,
  };
}

async function lastFailures(queries: Queries, consumerId: string): Promise<ConsumerHealthView['lastFailures']> {
  const rows = await queries
    .selectFrom('attempts as a')
    .innerJoin('deliveries as d', 'd.id', 'a.delivery_id')
    .select(['a.started_at', 'd.event_id', 'a.cause', 'a.status', 'a.error'])
    .where('a.consumer_id', '=', consumerId)
    .where('a.outcome', '=', 'failed')
    .orderBy('a.started_at', 'desc')
    .orderBy('a.id', 'desc')
    .limit(5)
    .execute();
  return rows.flatMap(({ started_at: at, event_id: eventId, cause, status, error }) =>
    cause === null ? [] : [{ at: at.toISOString(), eventId, cause, status, error }],
  );
}

function iso(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
