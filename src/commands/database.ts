import { type Database, connect } from '../adapters/postgres/database.ts';
import { ConfigError, readConfig } from '../config.ts';
import type { CommandIo } from './command.ts';

/**
 * What a command does with PostgreSQL itself, over one connection that is closed after it. `which` names the database
 * for a person. Throws `ConfigError` where it is not said which, and `store_unavailable`.
 */
export async function withDatabase<T>(
  { env }: Pick<CommandIo, 'env'>,
  which: string,
  use: (db: Database) => Promise<T>,
): Promise<T> {
  const { DATABASE_URL: databaseUrl } = readConfig(env);
  if (databaseUrl === undefined) {
    throw new ConfigError(`set DATABASE_URL to the database ${which}; 'evenkeel start' prints that of its own.`);
  }
  const db = connect(databaseUrl, { pool: 1 });
  try {
    return await use(db);
  } finally {
    await db.destroy();
  }
}
