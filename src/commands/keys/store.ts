import { postgresApiKeys } from '../../adapters/postgres/api-keys.ts';
import type { ApiKeys } from '../../domain/access-ports.ts';
import type { CommandIo } from '../command.ts';
import { withDatabase } from '../database.ts';

/** What a verb does with the keys in PostgreSQL. Throws as `withDatabase` does. */
export function withKeys<T>(io: Pick<CommandIo, 'env'>, use: (keys: ApiKeys) => Promise<T>): Promise<T> {
  return withDatabase(io, 'that has the keys', (db) => use(postgresApiKeys(db)));
}

/** The user of this terminal, as the audit log names one: `cli:ada`. */
export function actorOf({ env }: Pick<CommandIo, 'env'>): string {
  return `cli:${env['USER'] || env['LOGNAME'] || (process.getuid?.() ?? 'unknown')}`;
}
