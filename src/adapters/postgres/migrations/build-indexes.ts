import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';

/** What an index is on, by its name, as it follows `create index … on`. */
export type Indexes = Readonly<Record<string, string>>;

const POLL_MS = 100;

/**
 * Builds those that are not there, one after the other, while others read and write: in no transaction, since one that
 * builds indexes on several tables waits for who writes to one, and lets them wait at another. Each waits for all
 * transactions that began before it, and has no bound in time. What was left unfinished is built anew. One process
 * builds, any others wait for it.
 */
export async function buildIndexes(db: Kysely<unknown>, indexes: Indexes): Promise<void> {
  await db.connection().execute(async (connection) => {
    const names = Object.keys(indexes);
    while (!(await isOnlyBuilder(connection))) await sleep(POLL_MS);
    try {
      for (const name of await unfinished(connection, names)) {
        await sql`drop index concurrently ${sql.id(name)}`.execute(connection);
      }
      for (const name of names) {
        await sql`create index concurrently if not exists ${sql.id(name)} on ${sql.raw(indexes[name] ?? '')}`.execute(
          connection,
        );
      }
    } finally {
      await sql`select pg_advisory_unlock(hashtextextended('evenkeel indexes', 0))`.execute(connection);
    }
  });
}

/** Asked again and again: a statement that waits for the lock is what a concurrent build waits for. */
async function isOnlyBuilder(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ is_mine: boolean }>`
    select pg_try_advisory_lock(hashtextextended('evenkeel indexes', 0)) as is_mine`.execute(db);
  return rows[0]?.is_mine === true;
}

async function unfinished(db: Kysely<unknown>, names: readonly string[]): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
    where not i.indisvalid and c.relnamespace = current_schema()::regnamespace and c.relname = any(${names})`.execute(
    db,
  );
  return rows.map(({ name }) => name);
}
