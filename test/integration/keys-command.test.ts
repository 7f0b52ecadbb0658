import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { postgresApiKeys } from '../../src/adapters/postgres/api-keys.ts';
import { postgresAuditLog } from '../../src/adapters/postgres/audit-log.ts';
import { type Database, connect } from '../../src/adapters/postgres/database.ts';
import { main } from '../../src/cli.ts';
import type { ApiKeyView } from '../../src/domain/access-ports.ts';
import { runCommand } from '../unit/submit-api.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
beforeEach(async () => {
  database = await testDatabase();
  db = connect(database.url, { pool: 2 });
});
afterEach(async () => {
  await db.destroy();
  await database.drop();
});

const keys = (...words: string[]) =>
  runCommand(main, ['keys', ...words], { env: { DATABASE_URL: database.url, USER: 'ada' } });
const listed = async () => JSON.parse((await keys('list', '--json')).stdout) as ApiKeyView[];

describe('the next expiry', () => {
  test('is that of the key in use that expires first, and a year away where there is none', async () => {
    const stored = postgresApiKeys(db);
    const make = async (validDays: number) =>
      (await stored.create({ name: 'x', roles: ['shop'], validDays, actor: 'test' })).key;
    const DAY = 86_400;
    await make(1);
    expect(await stored.nextExpirySeconds()).toBe(365 * DAY);
    await stored.find(await make(9));
    const first = await make(5);
    await stored.find(first);
    expect(await stored.nextExpirySeconds()).toBeGreaterThan(4 * DAY);
    expect(await stored.nextExpirySeconds()).toBeLessThanOrEqual(5 * DAY);
    await stored.revoke(first.slice(3, 15), 'test');
    expect(await stored.nextExpirySeconds()).toBeGreaterThan(8 * DAY);
  });
});

describe('evenkeel keys', () => {
  test.each([
    [['create', '--role', 'shop'], '--name is missing'],
    [['create', '--name', 'x'], '--role is missing'],
    [['create', '--name', 'x', '--role', 'root'], "not 'root'"],
    [['create', '--name', 'x', '--role', '__proto__'], "not '__proto__'"],
    [['create', '--name', 'x', '--role', 'shop', '--days', '0'], "not '0'"],
    [['create', '--name', 'x', '--role', 'shop', '--customer', ' '], '--customer is missing'],
    [['create', '--name', 'a\nb', '--role', 'shop'], '--name takes'],
    [['create', 'x'], "'x' is one word too many"],
    [['revoke'], 'ID is missing'],
    [['revoke', 'ABC'], "'ABC' is no key's id"],
    [['forget'], "'forget' means nothing here"],
  ])('%j is refused, and nothing is made', async (words, why) => {
    const { code, stdout, stderr } = await keys(...words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(why);
    expect(await listed()).toEqual([]);
  });

  test('say what to set where no database is named', async () => {
    const { code, stderr } = await runCommand(main, ['keys'], { env: {} });
    expect(code).toBe(1);
    expect(stderr).toContain('set DATABASE_URL');
  });

  test('prints a new key alone, which works, and keeps only what it is told by', async () => {
    const { code, stdout, stderr } = await keys('create', '--name', 'till 3', '--role', 'shop', '--role', 'read-only');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ek_[a-z0-9]{12}_[\w-]{43}\n$/);
    const key = stdout.trim();
    const id = key.slice(3, 15);
    expect(stderr).toContain(`key ${id} for till 3 (shop, read-only), until `);
    expect(stderr).not.toContain(key);
    expect(await postgresApiKeys(db).find(key)).toEqual({ caller: `key:${id}`, roles: ['shop', 'read-only'] });
    const { rows } = await db.read(async (queries) => ({
      rows: await queries.selectFrom('api_keys').selectAll().execute(),
    }));
    expect(JSON.stringify(rows)).not.toContain(key.slice(16));
  });

  test('makes a customer’s own key, which expires when it is said to', async () => {
    const { stdout } = await keys('create', '--name', 'app', '--customer', 'c-1', '--days', '7');
    expect(await postgresApiKeys(db).find(stdout.trim())).toMatchObject({ customerId: 'c-1', roles: [] });
    const [made] = await listed();
    const days = (Date.parse(made?.expiresAt ?? '') - Date.parse(made?.createdAt ?? '')) / 86_400_000;
    expect(days).toBeCloseTo(7, 1);
  });

  test('revokes by the id or by the whole key, once, and the audit log has who did what', async () => {
    const [one, other] = [
      (await keys('create', '--name', 'one', '--role', 'admin')).stdout.trim(),
      (await keys('create', '--name', 'other', '--role', 'admin')).stdout.trim(),
    ];
    const id = one.slice(3, 15);
    const first = await keys('revoke', id);
    expect(first.stdout).toContain(`key ${id} for one was revoked at `);
    expect((await keys('revoke', id)).stdout).toBe(first.stdout);
    expect((await keys('revoke', other)).code).toBe(0);
    expect(await postgresApiKeys(db).find(one)).toBeUndefined();
    expect(await postgresApiKeys(db).find(other)).toBeUndefined();
    const { data } = await postgresAuditLog(db).list({ limit: 10, subject: `keys/${id}` });
    expect(data.map(({ action, actor }) => [action, actor])).toEqual([
      ['keys.revoke', 'cli:ada'],
      ['keys.revoke', 'cli:ada'],
      ['keys.create', 'cli:ada'],
    ]);
  });

  test('answers 1 to an id that there is not', async () => {
    expect(await keys('revoke', 'abcdefghijkl')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no API key abcdefghijkl'),
    });
  });

  test('shows in a table what each may do and whether it still can', async () => {
    expect((await keys()).stdout).toContain('no keys');
    const { stdout: key } = await keys('create', '--name', 'night shift', '--role', 'operator');
    await keys('create', '--name', 'app', '--customer', 'c-1');
    await keys('revoke', key.trim());
    const { stdout } = await keys();
    expect(stdout).toMatch(/^\w{12} +app +customer c-1 +valid +\d{4}-\d\d-\d\d +never +cli:ada$/m);
    expect(stdout).toMatch(/^\w{12} +night shift +operator +revoked +/m);
    expect(stdout).not.toContain(key.trim().slice(16));
  });
});
