import { randomUUID } from 'node:crypto';
import { type RawBuilder, type Selectable, sql } from 'kysely';
import type { Audit, NewRedrive, RedriveState, Redrives, RedriveView } from '../../domain/consumer-ports.ts';
import { DomainFailure } from '../../domain/failures.ts';
import { keyset } from './cursor.ts';
import type { Database, Queries } from './database.ts';
import { redrivable } from './dead-letter-views.ts';
import { sendAgain } from './dead-letters.ts';
import { createOnce } from './idempotency.ts';
import type { Tables } from './schema.ts';

interface RedriveRow extends Selectable<Tables['redrives']> {
  readonly sent: number;
  readonly delivered: number;
  readonly dead_again: number;
}

const newest = keyset('newest', [
  ['r.created_at', 'time'],
  ['r.id', 'text'],
]);

export function postgresRedrives(db: Database): Redrives {
  return {
    create: (redrive, idempotency, audit) =>
      createOnce(db, 'POST /v1/dead-letters/retry', idempotency, async (trx) =>
        mustFind(trx, await insertRedrive(trx, redrive, audit)),
      ),
    find: (id) => db.read((queries) => findRedrive(queries, id)),
    list: async ({ limit, cursor }) => {
      const where = cursor === undefined ? sql`` : sql`where ${newest.after(cursor)}`;
      const rows = await db.read((queries) =>
        readRedrives(queries, sql`${where} order by ${newest.orderBy} limit ${limit + 1}`),
      );
      return newest.page(rows, limit, (row) => [row.created_at, row.id], viewOf);
    },
    steer: (id, wish, audit) =>
      db.transaction(async (trx) => {
        await steer(trx, id, wish, audit);
        return mustFind(trx, id);
      }),
    sendNext: (id, count) => db.transaction((trx) => sendNext(trx, id, count)),
    advance: (id, state) =>
      db.transaction(async (trx) => {
        const present = await lockRedrive(trx, id);
        if (advances[state].has(present.state)) await become(trx, id, state);
      }),
    open: () =>
      db.read(async (queries) => {
        const rows = await queries
          .selectFrom('redrives')
          .select('id')
          .where('finished_at', 'is', null)
          .orderBy('created_at')
          .execute();
        return rows.map((row) => row.id);
      }),
  };
}

/** One statement takes in no more, so that none runs into its time limit. */
const batch = 5_000;

/** One at a time, so that two which match the same letters do not both count them as theirs. */
async function insertRedrive(trx: Queries, { filter, ratePerSecond }: NewRedrive, audit: Audit): Promise<string> {
  await sql`select pg_advisory_xact_lock(hashtextextended('evenkeel redrives', 0))`.execute(trx);
  const { id, at } = await trx
    .insertInto('redrives')
    .values({
      id: randomUUID(),
      state: 'canary',
      filter: JSON.stringify(filter),
      rate_per_second: ratePerSecond,
      total: 0,
      actor: audit.actor,
      reason: audit.reason,
      created_at: sql<Date>`clock_timestamp()`,
    })
    .returning(['id', 'created_at as at'])
    .executeTakeFirstOrThrow();
  let total = 0;
  let taken = { count: 0, last: 0 };
  do {
    taken = await takeIn(trx, id, sql`${redrivable(filter)} and d.settled_at <= ${at} and d.id > ${taken.last}`);
    total += taken.count;
  } while (taken.count === batch);
  await trx.updateTable('redrives').set({ total }).where('id', '=', id).execute();
  return id;
}

async function takeIn(trx: Queries, id: string, matching: RawBuilder<unknown>) {
  const { rows } = await sql<{ count: number; last: number }>`
    with taken as (
      update deliveries set redrive_id = ${id}, redriven_at = null
      where status = 'dead' and id = any(array(${matching} order by d.id limit ${batch} for update of d))
      returning id
    )
    select count(*) as count, coalesce(max(id), 0) as last from taken`.execute(trx);
  return rows[0] ?? { count: 0, last: 0 };
}

/** Whoever sends, steers or advances it, one after the other. */
async function lockRedrive(trx: Queries, id: string): Promise<Selectable<Tables['redrives']>> {
  const row = await trx.selectFrom('redrives').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  return row ?? missing(id);
}

async function sendNext(trx: Queries, id: string, count: number): Promise<number> {
  const { state, actor, reason } = await lockRedrive(trx, id);
  if (state !== 'canary' && state !== 'running') return 0;
  // It waits for whoever holds one of them: passed over, the last ones would look as if there were none.
  const next = sql`
    select d.id, d.cause, d.settled_at from deliveries d join consumers c on c.id = d.consumer_id
    where d.redrive_id = ${id} and d.redriven_at is null and d.status = 'dead' and c.deleted_at is null
    order by d.id limit ${count} for update of d`;
  return sendAgain(trx, next, { actor, reason }, id);
}

/** From which states its workflow takes it to another: never from where a person put it. */
const advances = {
  running: new Set<RedriveState>(['canary']),
  failed: new Set<RedriveState>(['canary', 'running']),
  completed: new Set<RedriveState>(['canary', 'running']),
} as const;

async function steer(trx: Queries, id: string, wish: 'pause' | 'resume' | 'stop', audit: Audit): Promise<void> {
  const { state, finished_at: finishedAt } = await lockRedrive(trx, id);
  if (finishedAt !== null) {
    throw new DomainFailure('conflict', `Redrive ${id} is ${state}: it is at its end. Make another one for the rest.`);
  }
  // Asked twice, or of one that is on its way: nothing to do.
  if (wish === 'pause' ? state === 'paused' : wish === 'resume' && state !== 'paused') return;
  if (wish === 'resume') {
    // Only something that arrived shows that the rest can be sent.
    const { delivered } = await mustFind(trx, id);
    await become(trx, id, delivered > 0 ? 'running' : 'canary');
  } else {
    await become(trx, id, wish === 'pause' ? 'paused' : 'stopped');
  }
  await trx
    .insertInto('redrive_changes')
    .values({
      redrive_id: id,
      at: sql<Date>`clock_timestamp()`,
      action: wish,
      actor: audit.actor,
      reason: audit.reason,
    })
    .execute();
}

const ends: ReadonlySet<RedriveState> = new Set(['stopped', 'failed', 'completed']);

async function become(trx: Queries, id: string, state: RedriveState): Promise<void> {
  await trx
    .updateTable('redrives')
    .set({ state, finished_at: ends.has(state) ? sql<Date>`clock_timestamp()` : null })
    .where('id', '=', id)
    .execute();
}

/**
 * Counted by what was done, not by what waits: a letter that died again may be another redrive's by now. `rest` is what
 * follows `from redrives r`.
 */
async function readRedrives(queries: Queries, rest: RawBuilder<unknown>): Promise<RedriveRow[]> {
  const { rows } = await sql<RedriveRow>`
    select r.*, done.sent, done.delivered, done.dead_again
    from redrives r, lateral (
      select count(*) as sent,
        count(*) filter (where d.redrive_id = r.id and d.status = 'delivered') as delivered,
        count(*) filter (where d.redrive_id <> r.id or d.status not in ('delivered', 'pending')) as dead_again
      from dead_letter_actions a join deliveries d on d.id = a.delivery_id
      where a.redrive_id = r.id
    ) done ${rest}`.execute(queries);
  return rows;
}

async function findRedrive(queries: Queries, id: string): Promise<RedriveView | undefined> {
  const [row] = await readRedrives(queries, sql`where r.id = ${id}`);
  return row === undefined ? undefined : viewOf(row);
}

async function mustFind(queries: Queries, id: string): Promise<RedriveView> {
  return (await findRedrive(queries, id)) ?? missing(id);
}

function missing(id: string): never {
  throw new DomainFailure('not_found', `There is no redrive ${id}.`);
}

function viewOf(row: RedriveRow): RedriveView {
  const { actor, delivered, filter, id, reason, sent, state, total } = row;
  return {
    id,
    state,
    filter,
    ratePerSecond: row.rate_per_second,
    total,
    sent,
    delivered,
    deadAgain: row.dead_again,
    actor,
    reason,
    createdAt: row.created_at.toISOString(),
    finishedAt: row.finished_at?.toISOString() ?? null,
  };
}
