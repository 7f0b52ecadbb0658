/** What the application's own role may do in the database: all that orders need, and nothing to the audit log. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresApiKeys } from '../../src/adapters/postgres/api-keys.ts';
import { postgresAuditLog } from '../../src/adapters/postgres/audit-log.ts';
import { connect } from '../../src/adapters/postgres/database.ts';
import { postgresFacts } from '../../src/adapters/postgres/facts.ts';
import { grantApplication } from '../../src/adapters/postgres/roles.ts';
import { ensureApplicationLogin } from '../../src/embedded/application-login.ts';
import { testDatabase, withClient } from '../support/postgres.ts';
import { postgresStores } from '../support/postgres-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';
import { times } from '../support/store-conformance/shop.ts';

async function guarded() {
  const { url, drop } = await testDatabase();
  expect(await grantApplication(url)).toEqual([]);
  return { ownerUrl: url, url: await ensureApplicationLogin(url), drop };
}

storeConformance("PostgreSQL, as the application's role", async () => {
  const { url, drop } = await guarded();
  const db = connect(url, { pool: 12, traceparent: () => undefined });
  return {
    stores: postgresStores(db),
    stop: async () => {
      await db.destroy();
      await drop();
    },
  };
});

describe("the application's role", () => {
  let database: Awaited<ReturnType<typeof guarded>>;
  beforeAll(async () => {
    database = await guarded();
    const db = connect(database.url, { pool: 2 });
    await postgresAuditLog(db).write({
      actor: 'key:x',
      roles: ['admin'],
      action: 'test',
      outcome: 'allowed',
      subject: '/v1/test',
      reason: null,
      traceId: null,
    });
    await db.destroy();
  });
  afterAll(() => database.drop());

  const refusals = [
    ["update audit_log set actor = 'nobody'"],
    ['delete from audit_log'],
    ['truncate audit_log'],
    ['truncate audit_log cascade'],
    ['alter table audit_log disable trigger all'],
    ['alter table audit_log disable trigger audit_log_append_only'],
    ['drop trigger audit_log_append_only on audit_log'],
    ['drop table audit_log cascade'],
    ['alter table audit_log rename to forgotten'],
    [
      'create or replace function audit_log_is_append_only() returns trigger language plpgsql as $$ begin return old; end $$',
    ],
    ['create rule quiet as on update to audit_log do instead nothing'],
    ["set session_replication_role = 'replica'"],
    ['set role postgres'],
    ['create table mine (id int)'],
    ['drop table orders cascade'],
    ["update kysely_migration set name = 'none'"],
    [
      "insert into audit_log (id, at, actor, roles, action, outcome, subject) values ('x', 'epoch', '', '{}', '', 'denied', '')",
    ],
  ];
  test.each(refusals)('may not %s', async (statement) => {
    await withClient(database.url, async (client) => {
      await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' });
    });
  });

  test.each([["update audit_log set actor = 'nobody'"], ['delete from audit_log'], ['truncate audit_log cascade']])(
    'is not alone: the owner who tries to %s is refused by the trigger',
    async (statement) => {
      await withClient(database.ownerUrl, async (client) => {
        await expect(client.query(statement)).rejects.toThrow('the audit log is append-only');
      });
    },
  );

  test('reads and adds to the audit log, makes keys, and sees what runs', async () => {
    const db = connect(database.url, { pool: 2 });
    try {
      const keys = postgresApiKeys(db);
      const { key, view } = await keys.create({ name: 'one', roles: ['shop'], validDays: 1, actor: 'cli:ada' });
      expect(await keys.find(key)).toEqual({ caller: `key:${view.id}`, roles: ['shop'] });
      await keys.revoke(view.id, 'cli:ada');
      const { data } = await postgresAuditLog(db).list({ limit: 10 });
      expect(data.map(({ action }) => action)).toEqual(['keys.revoke', 'keys.create', 'test']);
      expect((await postgresFacts(db).read()).connections).toBeGreaterThan(0);
    } finally {
      await db.destroy();
    }
  });

  test('sees when the transactions of other logins began', async () => {
    await withClient(database.ownerUrl, async (owner) => {
      await owner.query("set application_name = 'evenkeel'; begin; select 1");
      const { rows } = await withClient(database.url, (client) =>
        client.query(
          `select count(*)::int as count from pg_stat_activity where usename = 'postgres' and xact_start is not null
             and application_name = 'evenkeel' and datname = current_database()`,
        ),
      );
      expect(rows).toEqual([{ count: 1 }]);
    });
  });

  test('may use the tables of a later release, once the owner has made them', async () => {
    await withClient(database.ownerUrl, (owner) =>
      owner.query('create table later (id int generated always as identity)'),
    );
    const { rowCount } = await withClient(database.url, (client) => client.query('insert into later default values'));
    expect(rowCount).toBe(1);
  });

  test('may not make tables where everybody may, as in databases that were made before PostgreSQL 15', async () => {
    await withClient(database.ownerUrl, (owner) => owner.query('grant create on schema public to public'));
    await grantApplication(database.ownerUrl);
    await withClient(database.url, async (client) => {
      await expect(client.query('create table mine (id int)')).rejects.toMatchObject({ code: '42501' });
    });
  });

  test('is granted the same by any number of migrations at a time, and by the next', async () => {
    expect(await Promise.all(times(5, () => grantApplication(database.ownerUrl)))).toEqual(times(5, () => []));
    await withClient(database.url, async (client) => {
      await expect(client.query('delete from audit_log')).rejects.toMatchObject({ code: '42501' });
    });
  });
});
