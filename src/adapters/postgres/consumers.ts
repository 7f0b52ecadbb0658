import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { sql, type UpdateObject } from 'kysely';
import type { Audit, ConsumerChange, Consumers, NewConsumer } from '../../domain/consumer-ports.ts';
import { type ConsumerState, likePattern } from '../../domain/consumers.ts';
import { DomainFailure } from '../../domain/failures.ts';
import { noteChanges } from './consumer-changes.ts';
import { bury } from './burial.ts';
import {
  type ConsumerRow,
  findConsumer,
  listConsumers,
  lockConsumer,
  readDestination,
  viewOf,
  withSecret,
} from './consumer-views.ts';
import type { Database, Queries } from './database.ts';
import { createOnce } from './idempotency.ts';
import type { Tables } from './schema.ts';

type Columns = UpdateObject<Tables, 'consumers'>;

const now = sql<Date>`clock_timestamp()`;
const formerSecretLife = sql`interval '24 hours'`;

export function postgresConsumers(db: Database): Consumers {
  return {
    create: (consumer, idempotency, audit) =>
      createOnce(db, 'POST /v1/consumers', idempotency, async (trx) => {
        const id = await insertConsumer(trx, consumer, audit);
        return withSecret(await mustLock(trx, id));
      }),
    list: (page) => db.read((queries) => listConsumers(queries, page)),
    find: (id) => db.read((queries) => findConsumer(queries, id)),
    change: (id, change, expectedVersion, audit) =>
      db.transaction(async (trx) => {
        const row = await lockAt(trx, id, expectedVersion);
        await changeConsumer(trx, row, change, audit);
        return viewOf(await mustLock(trx, id));
      }),
    rotateSecret: (id, audit, expectedVersion) =>
      db.transaction(async (trx) => {
        const { secret, version } = await lockAt(trx, id, expectedVersion);
        await update(trx, id, {
          secret: newSecret(),
          former_secret: secret,
          former_secret_until: sql<Date>`${now} + ${formerSecretLife}`,
          version: version + 1,
        });
        await note(trx, id, 'secret_rotated', audit);
        return withSecret(await mustLock(trx, id));
      }),
    remove: async (id, audit) => {
      await db.transaction(async (trx) => {
        const { version } = await mustLock(trx, id);
        await update(trx, id, { deleted_at: now, version: version + 1 });
        await endTrouble(trx, id);
        await note(trx, id, 'deleted', audit);
      });
      await buryPending(db, id);
    },
    destination: async (id) => (await db.read((queries) => readDestination(queries, id))) ?? missing(id),
  };
}

/** 24 random bytes, as https://www.standardwebhooks.com has it. */
function newSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`;
}

async function insertConsumer(trx: Queries, consumer: NewConsumer, audit: Audit): Promise<string> {
  const id = randomUUID();
  const { enabled, filter, maxInFlight, name, target, types } = consumer;
  await trx
    .insertInto('consumers')
    .values({
      id,
      name,
      target: JSON.stringify(target),
      ...patterns(types),
      filter: filter === null ? null : JSON.stringify(filter),
      max_in_flight: maxInFlight,
      state: enabled ? 'enabled' : 'disabled',
      state_reason: enabled ? null : audit.reason,
      state_since: now,
      secret: newSecret(),
      created_at: now,
    })
    .execute();
  await trx.insertInto('consumer_health').values({ consumer_id: id }).execute();
  await note(trx, id, 'created', audit);
  return id;
}

function patterns(types: readonly string[]) {
  return { types: JSON.stringify(types), like_types: types.map(likePattern) };
}

/** What it is asked to be and is already is no change: a repeated request moves no version and no `stateSince`. */
async function changeConsumer(trx: Queries, row: ConsumerRow, change: ConsumerChange, audit: Audit): Promise<void> {
  const { filter, maxInFlight, name, state, target, types } = change;
  const settings: Columns = {
    ...(name !== undefined && isNew(name, row.name) ? { name } : {}),
    ...(target !== undefined && isNew(target, row.target) ? { target: JSON.stringify(target) } : {}),
    ...(types !== undefined && isNew(types, row.types) ? patterns(types) : {}),
    ...(isNew(filter, row.filter) ? { filter: filter === null ? null : JSON.stringify(filter) } : {}),
    ...(maxInFlight !== undefined && isNew(maxInFlight, row.max_in_flight) ? { max_in_flight: maxInFlight } : {}),
  };
  const hasSettings = Object.keys(settings).length > 0;
  const becomes = state === row.state ? undefined : state;
  if (!hasSettings && becomes === undefined) return;
  await update(trx, row.id, {
    ...settings,
    ...(becomes === undefined
      ? {}
      : { state: becomes, state_since: now, state_reason: becomes === 'enabled' ? null : audit.reason }),
    version: row.version + 1,
  });
  if (settings.target !== undefined) await endThrottle(trx, row.id);
  if (hasSettings) await note(trx, row.id, 'changed', audit);
  if (becomes === undefined) return;
  if (row.state === 'disabled' && becomes === 'enabled') await beginAnew(trx, row.id);
  await note(trx, row.id, actionOf(row.state, becomes), audit);
}

function isNew(value: unknown, present: unknown): boolean {
  return value !== undefined && !isDeepStrictEqual(value, present);
}

function actionOf(was: ConsumerState, becomes: ConsumerState): string {
  return becomes === 'enabled' && was === 'paused' ? 'resumed' : becomes;
}

/** It was the former target that asked for it. */
async function endThrottle(trx: Queries, id: string): Promise<void> {
  await sql`update consumer_health set throttled_until = null, throttle_streak = 0 where consumer_id = ${id}`.execute(
    trx,
  );
}

/** With deliveries held it is sent one, then more and more, as after any trouble; without, it is as new. */
async function beginAnew(trx: Queries, id: string): Promise<void> {
  await sql`
    update consumer_health set failing_orders = '{}', connection_failures = 0, failures = 0, failed_at = null,
      failing_since = null, successes = 0, relapses = 0, send_limit = null, throttled_until = null, throttle_streak = 0,
      epoch = epoch + held.is_backlog::int,
      mode = case when held.is_backlog then 'probing' else 'normal' end,
      reason = case when held.is_backlog then 'enabled again' end,
      trouble_since = case when held.is_backlog then clock_timestamp() end,
      next_probe_at = case when held.is_backlog then clock_timestamp() end
    from (select exists (select 1 from deliveries where consumer_id = ${id} and status = 'pending') as is_backlog) as held
    where consumer_id = ${id}`.execute(trx);
}

/** So that no workflow is started for it any more. */
async function endTrouble(trx: Queries, id: string): Promise<void> {
  await sql`
    update consumer_health set mode = 'normal', failing_orders = '{}', connection_failures = 0, failures = 0,
      failed_at = null, failing_since = null, successes = 0, relapses = 0, reason = null, trouble_since = null,
      send_limit = null, next_probe_at = null
    where consumer_id = ${id}`.execute(trx);
}

/**
 * In transactions of their own, each so short that nobody waits for its rows for long. It is deleted all the same if this
 * fails, or passes over what others hold: the relays bury whatever is left.
 */
async function buryPending(db: Database, id: string): Promise<void> {
  try {
    while ((await db.transaction((trx) => bury(trx, [id]))) > 0);
  } catch (error) {
    if (!(error instanceof DomainFailure)) throw error;
  }
}

async function update(trx: Queries, id: string, columns: Columns): Promise<void> {
  await trx.updateTable('consumers').set(columns).where('id', '=', id).execute();
}

function note(trx: Queries, id: string, action: string, { actor, reason }: Audit): Promise<void> {
  return noteChanges(trx, action, [{ id, reason }], actor);
}

async function mustLock(trx: Queries, id: string) {
  return (await lockConsumer(trx, id)) ?? missing(id);
}

async function lockAt(trx: Queries, id: string, expectedVersion: number | undefined): Promise<ConsumerRow> {
  const row = await mustLock(trx, id);
  if (expectedVersion === undefined || expectedVersion === row.version) return row;
  throw new DomainFailure(
    'version_mismatch',
    `Consumer ${id} is at version ${row.version}, not ${expectedVersion}. Read it again, then decide.`,
  );
}

function missing(id: string): never {
  throw new DomainFailure('not_found', `There is no consumer ${id}.`);
}
