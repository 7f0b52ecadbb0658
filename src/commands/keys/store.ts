import { postgresApiKeys } from '../../adapters/postgres/api-keys.ts';
import { connect } from '../../adapters/postgres/database.ts';
import { ConfigError, readConfig } from '../../config.ts';
import type { ApiKeys } from '../../domain/access-ports.ts';
import type { CommandIo } from '../command.ts';

/** What a verb does with the keys in PostgreSQL. Throws `ConfigError` where it is not said which, and `store_unavailable`. */
export async function withKeys<T>({ env }: Pick<CommandIo, 'env'>, use: (keys: ApiKeys) => Promise<T>): Promise<T> {
  const { DATABASE_URL: databaseUrl } = readConfig(env);
  if (databaseUrl === undefined) {
    throw new ConfigError(
      "set DATABASE_URL to the database that has the keys; 'evenkeel start' prints that of its own.",
    );
  }
  const db = connect(databaseUrl, { pool: 1 });
  try {
    return await use(postgresApiKeys(db));
  } finally {
    await db.destroy();
  }
}

/** The user of this terminal, as the audit log names one: `cli:ada`. */
export function actorOf({ env }: Pick<CommandIo, 'env'>): string {
  return `cli:${env['USER'] || env['LOGNAME'] || (process.getuid?.() ?? 'unknown')}`;
}
