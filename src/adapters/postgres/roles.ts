import { Client, DatabaseError } from 'pg';
import { asFailure } from './failures.ts';
import { withTls } from './tls.ts';

/** The group that the application's own login is in. It has what orders need, and may add to the audit log only. */
export const APPLICATION_ROLE = 'evenkeel_app';

/** SQLSTATE: another made it at the same moment; or this role may not. */
const alreadyThere: ReadonlySet<string | undefined> = new Set(['42710', '23505']);
const notAllowed = '42501';

/**
 * Gives the group what the application needs in the database at `ownerUrl`, whose role owns the schema: rows of every
 * table, those of later releases too, but of the audit log only to add and to read. Safe to repeat, and to run beside
 * others. Resolves with what it may not do, in words for whoever can. Throws `store_unavailable`.
 */
export async function grantApplication(ownerUrl: string): Promise<readonly string[]> {
  const client = new Client({ connectionString: withTls(ownerUrl), application_name: 'evenkeel-migrate' });
  client.on('error', () => undefined);
  try {
    await client.connect();
    if (!(await ensureGroup(client))) {
      return [
        `the role ${APPLICATION_ROLE} is not there, and this one may not create it: run 'create role ` +
          `${APPLICATION_ROLE}' as a superuser and migrate again. Until then whoever the application runs as can ` +
          'change the audit log, once its trigger is gone',
      ];
    }
    await grantRows(client);
    return (await grantStatistics(client))
      ? []
      : [
          `${APPLICATION_ROLE} may not see the transactions of other roles: run 'grant pg_read_all_stats to ` +
            `${APPLICATION_ROLE}' as a superuser where the application has several logins`,
        ];
  } catch (error) {
    throw asFailure(error);
  } finally {
    await client.end();
  }
}

async function ensureGroup(client: Client): Promise<boolean> {
  const { rowCount } = await client.query('select 1 from pg_roles where rolname = $1', [APPLICATION_ROLE]);
  return rowCount !== 0 || (await tried(client, `create role ${APPLICATION_ROLE} nologin`));
}

/** All or nothing: at no moment may it do more than it shall. */
async function grantRows(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  const database = client.escapeIdentifier(rows[0]?.name ?? '');
  await client.query('begin');
  await client.query(`
    -- Two that change the same grants at once would fail.
    select pg_advisory_xact_lock(hashtextextended('evenkeel grants', 0));
    grant connect on database ${database} to ${APPLICATION_ROLE};
    -- As it is in new databases since PostgreSQL 15: what is made there by others, the owner might run.
    revoke create on schema public from public;
    grant usage on schema public to ${APPLICATION_ROLE};
    grant select, insert, update, delete on all tables in schema public to ${APPLICATION_ROLE};
    grant usage, select on all sequences in schema public to ${APPLICATION_ROLE};
    alter default privileges in schema public
      grant select, insert, update, delete on tables to ${APPLICATION_ROLE};
    alter default privileges in schema public grant usage, select on sequences to ${APPLICATION_ROLE};
    revoke all on audit_log, kysely_migration, kysely_migration_lock from ${APPLICATION_ROLE};
    -- Not the time, which is this database's own.
    grant select, insert (id, actor, roles, action, outcome, subject, reason, trace_id) on audit_log
      to ${APPLICATION_ROLE};
    grant select on kysely_migration to ${APPLICATION_ROLE};
    commit`);
}

/** What is settled is told by the transactions that still run, those of other logins of the application among them. */
async function grantStatistics(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ has: boolean }>(
    `select pg_has_role('${APPLICATION_ROLE}', 'pg_read_all_stats', 'usage') as has`,
  );
  return rows[0]?.has === true || (await tried(client, `grant pg_read_all_stats to ${APPLICATION_ROLE}`));
}

/** Whether it is done, by us or by another at the same moment; false where this role may not. */
async function tried(client: Client, statement: string): Promise<boolean> {
  try {
    await client.query(statement);
    return true;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (alreadyThere.has(error.code)) return true;
    if (error.code === notAllowed) return false;
    throw error;
  }
}
