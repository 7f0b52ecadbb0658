import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { connect } from '../../src/adapters/postgres/database.ts';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { settledChannel } from '../../src/adapters/postgres/settled-orders.ts';
import type { EventEnvelope } from '../../src/domain/events.ts';
import type { IntakeResult } from '../../src/domain/order-ports.ts';
import { newPostgresStores, postgresStores } from '../support/postgres-stores.ts';
import { failure, type Shop, shopOf, times } from '../support/store-conformance/shop.ts';

/** What only PostgreSQL's stores promise, or can be tested only by a look into their tables. */
let made: Awaited<ReturnType<typeof newPostgresStores>>;
let shop: Shop;
let admin: Client;

beforeAll(async () => {
  made = await newPostgresStores();
  shop = shopOf(made.stores);
  admin = new Client({ connectionString: made.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await made.stop();
});

const received = async (): Promise<string> => (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;

async function eventsOf(orderId: string) {
  const { rows } = await admin.query<{ id: string; sequence: number; type: string; at: Date; body: string }>(
    'select id, sequence, type, at, body from events where order_id = $1 order by sequence',
    [orderId],
  );
  return rows.map((row) => ({ ...row, envelope: JSON.parse(row.body) as EventEnvelope }));
}

const age = (key: string, hours: number) =>
  admin.query("update idempotency_answers set created_at = created_at - $2 * interval '1 hour' where key = $1", [
    key,
    hours,
  ]);

async function acceptedOnce() {
  const order = shop.newOrder([{ sku: await shop.sku(), quantity: 1 }]);
  const idempotency = { caller: 'default', key: randomUUID(), bodyHash: 'hash' };
  const again = (bodyHash = 'hash'): Promise<IntakeResult> =>
    made.stores.intake.accept(order, { ...idempotency, bodyHash }, undefined);
  const first = await again();
  if (first.kind !== 'created') throw new Error(first.kind);
  return { key: idempotency.key, orderId: first.order.id, again };
}

/** Waits for the one connection that listens and returns its process. */
function listener(not?: number): Promise<number> {
  return vi.waitFor(
    async () => {
      const { rows } = await admin.query<{ pid: number }>(
        "select pid from pg_stat_activity where datname = current_database() and query like 'listen %'",
      );
      const [pid, ...others] = rows.map((row) => row.pid).filter((found) => found !== not);
      if (pid === undefined || others.length > 0) throw new Error(`${rows.length} listen`);
      return pid;
    },
    { timeout: 10_000 },
  );
}

describe('events', () => {
  test('are numbered without a gap, however many changes come at once', async () => {
    const id = await received();
    await Promise.all(
      times(40, (index) =>
        made.stores.orders.openAttention({
          ...shop.step(id, 'open_attention', `a${index}`),
          attentionId: `a${index}`,
          step: 'book',
          reason: 'x',
          allowed: ['retry'],
        }),
      ),
    );
    const events = await eventsOf(id);
    expect(events.map(({ sequence }) => sequence)).toEqual(times(41, (index) => index + 1));
    expect((await shop.view(id)).version).toBe(41);
    const moments = events.map(({ at }) => at.getTime());
    expect(moments).toEqual(moments.toSorted((a, b) => a - b));
  });

  test('are kept as the envelope that will be sent, with the trace of who asked', async () => {
    const sku = await shop.sku();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const idempotency = { caller: 'default', key: randomUUID(), bodyHash: 'hash' };
    const result = await made.stores.intake.accept(shop.newOrder([{ sku, quantity: 1 }]), idempotency, traceparent);
    if (result.kind !== 'created') throw new Error(result.kind);
    const { id, createdAt } = result.order;
    const later = '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01';
    const traced = connect(made.url, { pool: 1, traceparent: () => later });
    await postgresStores(traced).orders.confirm(shop.step(id, 'confirm'));
    await traced.destroy();
    const [created, confirmed] = await eventsOf(id);
    expect(created?.envelope).toEqual({
      specversion: '1.0',
      id: created?.id,
      source: '/evenkeel/orders',
      type: 'evenkeel.order.created.v1',
      time: createdAt,
      subject: id,
      datacontenttype: 'application/json',
      sequence: '0000000001',
      correlationid: id,
      traceparent,
      data: { customerId: result.order.customerId, totalMinor: 250, currency: 'GBP', lines: 1 },
    });
    expect(confirmed?.envelope).toMatchObject({ sequence: '0000000002', traceparent: later });
  });

  test('and ledger entries cannot be rewritten', async () => {
    const id = await received();
    await shop.authorize(id);
    await expect(admin.query('update events set body = $2 where order_id = $1', [id, '{}'])).rejects.toThrow(
      'append-only',
    );
    await expect(admin.query('delete from payment_entries where order_id = $1', [id])).rejects.toThrow('append-only');
  });
});

describe('the memory for idempotency keys', () => {
  test('repeats the answer for 72 hours', async () => {
    const { key, again } = await acceptedOnce();
    await age(key, 71.9);
    expect((await again()).kind).toBe('replayed');
  });

  test('gives the order as it is now after that, and never a second one', async () => {
    const { key, orderId, again } = await acceptedOnce();
    await age(key, 72.1);
    await made.stores.orders.confirm(shop.step(orderId, 'confirm'));
    expect(await again()).toMatchObject({ kind: 'existing', order: { id: orderId, status: 'confirmed' } });
    await failure(again('another'), 'idempotency_key_reused');
  });

  test('does not grow for ever: new answers push the forgotten ones out', async () => {
    const { key, again } = await acceptedOnce();
    await age(key, 1000);
    await received();
    const { rowCount } = await admin.query('select 1 from idempotency_answers where key = $1', [key]);
    expect(rowCount).toBe(0);
    expect((await again()).kind).toBe('existing');
  });

  test('tells a second request to wait while the first is worked on', async () => {
    const { key, again } = await acceptedOnce();
    await admin.query('begin');
    const scope = JSON.stringify(['default', 'POST /v1/orders', key]);
    await admin.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [scope]);
    const refused = await failure(again(), 'idempotency_in_progress');
    expect(refused).toMatchObject({ retryAfterMs: 1000 });
    await admin.query('rollback');
    expect((await again()).kind).toBe('replayed');
  });
});

test('a list pages through orders of one and the same moment', async () => {
  const sku = await shop.sku();
  const customerId = randomUUID();
  const orders = await Promise.all(times(10, () => shop.accept([{ sku, quantity: 1 }], { customerId })));
  await admin.query("update orders set created_at = '2026-01-01T00:00:00.123Z' where customer_id = $1", [customerId]);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await made.stores.views.list({ customerId, limit: 3, cursor });
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual(orders.map(({ id }) => id).toSorted((a, b) => (a < b ? 1 : -1)));
});

describe('a database in trouble', () => {
  test('that cannot be reached is unavailable', async () => {
    const nowhere = connect('postgres://nobody@127.0.0.1:1/none', { pool: 1 });
    expect(await failure(nowhere.ping(), 'store_unavailable')).toMatchObject({ retryAfterMs: 1000 });
    await failure(postgresStores(nowhere).views.find('x'), 'store_unavailable');
    await failure(postgresStores(nowhere).orders.confirm(shop.step('x', 'confirm')), 'store_unavailable');
    await failure(migrate('postgres://nobody@127.0.0.1:1/none'), 'store_unavailable');
    await nowhere.destroy();
  });

  test('that ends a connection in the middle of a step loses nothing and does nothing twice', async () => {
    const id = await received();
    const victim = connect(made.url, { pool: 1 });
    const holder = new Client({ connectionString: made.url });
    await holder.connect();
    await holder.query('begin');
    await holder.query('select 1 from orders where id = $1 for update', [id]);
    const step = failure(postgresStores(victim).orders.confirm(shop.step(id, 'confirm')), 'store_unavailable');
    await vi.waitFor(async () => {
      // The step waits for the lock: end it there.
      const { rowCount } = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`,
      );
      expect(rowCount).toBe(1);
    });
    await step;
    await holder.end();
    expect((await shop.view(id)).status).toBe('received');
    await postgresStores(victim).orders.confirm(shop.step(id, 'confirm'));
    expect(await shop.types(id)).toEqual(['created', 'confirmed']);
    await victim.destroy();
  });

  test('that ends a connection between two queries fails the transaction, not the process', async () => {
    const victim = connect(made.url, { pool: 1 });
    const broken = victim.transaction(async (trx) => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
      await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
      await vi.waitFor(async () => {
        const { rowCount } = await admin.query('select 1 from pg_stat_activity where pid = $1', [rows[0]?.pid]);
        expect(rowCount).toBe(0);
      });
      await sql`select 1`.execute(trx);
    });
    expect(await failure(broken, 'store_unavailable')).toMatchObject({ retryAfterMs: 1000 });
    await victim.ping();
    await victim.destroy();
  });

  test('that is closed says so, and closing leaves nobody waiting', async () => {
    const id = await received();
    const closing = connect(made.url, { pool: 2 });
    const { views } = postgresStores(closing);
    const wait = views.waitForConfirmation(id, 60_000, new AbortController().signal).catch((error: unknown) => error);
    await listener();
    await closing.destroy();
    // The wait ended, and its last look found the pool closed, or came just before.
    expect(await wait).toSatisfy(
      (end: { status?: string; code?: string }) => end.status === 'received' || end.code === 'store_unavailable',
    );
  });

  test('that drops the notifications only makes waiting slower, until they are there again', async () => {
    const [first, second] = [await received(), await received()];
    const fragile = connect(made.url, { pool: 2 });
    const { views } = postgresStores(fragile);
    const never = new AbortController().signal;
    const waits = [first, second].map((id) => views.waitForConfirmation(id, 30_000, never));
    const lost = await listener();
    await admin.query('select pg_terminate_backend($1)', [lost]);
    await made.stores.orders.confirm(shop.step(first, 'confirm'));
    expect((await waits[0])?.status).toBe('confirmed');
    expect(await listener(lost)).not.toBe(lost);
    await made.stores.orders.confirm(shop.step(second, 'confirm'));
    expect((await waits[1])?.status).toBe('confirmed');
    await fragile.destroy();
  });
});

describe('the notification that an order has settled', () => {
  test('is sent for its confirmation and its end, and for nothing else', async () => {
    const id = await received();
    const heard: (string | undefined)[] = [];
    admin.on('notification', ({ payload }) => heard.push(payload));
    await admin.query(`listen ${settledChannel}`);
    const settled = (count: number) => vi.waitFor(() => expect(heard).toEqual(times(count, () => id)));
    await shop.reserve(id);
    await shop.authorize(id);
    await made.stores.orders.confirm(shop.step(id, 'confirm'));
    await settled(1);
    await made.stores.requests.cancel(id, { reason: null });
    await made.stores.orders.finish({ ...shop.step(id, 'finish'), status: 'cancelled', reason: 'asked' });
    await settled(2);
    await admin.query(`unlisten ${settledChannel}`);
  });
});
