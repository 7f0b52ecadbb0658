import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { Pool } from 'pg';
import { outliveBrokenConnections } from './database.ts';
import { asFailure } from './failures.ts';
import { ordersMigration } from './migrations/0001-orders.ts';
import { deliveryMigration } from './migrations/0002-delivery.ts';
import { objectivesMigration } from './migrations/0003-objectives.ts';
import { factsMigration } from './migrations/0004-facts.ts';
import { resilienceMigration } from './migrations/0005-resilience.ts';
import { buildIndexes } from './migrations/build-indexes.ts';
import { withTls } from './tls.ts';

/** In the order of their names; a migration that has run anywhere is never changed, only followed by another. */
const migrations: Readonly<Record<string, Migration>> = {
  '0001-orders': ordersMigration,
  '0002-delivery': deliveryMigration,
  '0003-objectives': objectivesMigration,
  '0004-facts': factsMigration,
  '0005-resilience': resilienceMigration,
};
/** Of tables that are written to all the time. */
const indexes = { ...objectivesMigration.indexes, ...factsMigration.indexes, ...resilienceMigration.indexes };

/**
 * Brings the schema up to date: all tables or none, then the indexes, one by one, while others go on. Called again, it
 * does what is left. Any number of processes may call it at a time: one works, the others wait for it. Resolves with the
 * migrations that a newer release has run: a program of before goes on with them, since they only add. Throws
 * `store_unavailable` if the database cannot be reached, and what is wrong if one of its own was left out.
 */
export async function migrate(databaseUrl: string): Promise<readonly string[]> {
  const pool = new Pool({ connectionString: withTls(databaseUrl), max: 2, application_name: 'evenkeel-migrate' });
  outliveBrokenConnections(pool);
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    let newer: readonly string[] = [];
    const getMigrations = async (): Promise<Record<string, Migration>> => {
      newer = await newerThan(Object.keys(migrations).at(-1) ?? '', db);
      return { ...migrations, ...Object.fromEntries(newer.map((name) => [name, alreadyRun])) };
    };
    const { error } = await new Migrator({ db, provider: { getMigrations } }).migrateToLatest();
    if (error !== undefined) throw error;
    await buildIndexes(db, indexes);
    return newer;
  } catch (error) {
    throw asFailure(error);
  } finally {
    await db.destroy();
  }
}

/** In the place of one that this program does not have: to the migrator, one that ran and is gone is a mistake. */
const alreadyRun: Migration = { up: () => Promise.reject(new Error('this migration is of a newer release')) };

async function newerThan(last: string, db: Kysely<unknown>): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from kysely_migration where name collate "C" > ${last} order by name collate "C"`.execute(db);
  return rows.map(({ name }) => name);
}
