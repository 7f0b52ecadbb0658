import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { Pool } from 'pg';
import { outliveBrokenConnections } from './database.ts';
import { asFailure } from './failures.ts';
import { ordersMigration } from './migrations/0001-orders.ts';
import { deliveryMigration } from './migrations/0002-delivery.ts';
import { objectivesMigration } from './migrations/0003-objectives.ts';
import { factsMigration } from './migrations/0004-facts.ts';
import { buildIndexes } from './migrations/build-indexes.ts';

/** In the order of their names; a migration that has run anywhere is never changed, only followed by another. */
const migrations = {
  '0001-orders': ordersMigration,
  '0002-delivery': deliveryMigration,
  '0003-objectives': objectivesMigration,
  '0004-facts': factsMigration,
};
/** Of tables that are written to all the time. */
const indexes = { ...objectivesMigration.indexes, ...factsMigration.indexes };

/**
 * Brings the schema up to date: all tables or none, then the indexes, one by one, while others go on. Called again, it
 * does what is left. Any number of processes may call it at a time: one works, the others wait for it. Throws
 * `store_unavailable` if the database cannot be reached.
 */
export async function migrate(databaseUrl: string): Promise<void> {
  const pool = new Pool({ connectionString: databaseUrl, max: 2, application_name: 'evenkeel-migrate' });
  outliveBrokenConnections(pool);
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    await buildIndexes(db, indexes);
  } catch (error) {
    throw asFailure(error);
  } finally {
    await db.destroy();
  }
}
