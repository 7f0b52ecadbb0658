import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changeOrder, withOrder } from '../../src/adapters/postgres/change.ts';
import { postgresConsumers } from '../../src/adapters/postgres/consumers.ts';
import type { Consumers, ConsumerWithSecret, NewConsumer } from '../../src/domain/consumer-ports.ts';
import { insertDelivery, insertEvent, type WrittenDelivery } from '../support/delivery-rows.ts';
import { insertManyDeliveries } from '../support/many-deliveries.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { failure, type Shop, shopOf, times } from '../support/store-conformance/shop.ts';
import { waitFor } from '../support/wait.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let shop: Shop;
let consumers: Consumers;

beforeAll(async () => {
  made = await newPostgresStores();
  shop = shopOf(made.stores);
  consumers = postgresConsumers(made.db);
});
afterAll(() => made.stop());

const ada = { actor: 'ada', reason: 'because' };
const target = { kind: 'http', url: 'https://consumer.example/events' } as const;
const newConsumer = (changes: Partial<NewConsumer> = {}): NewConsumer => ({
  name: 'a consumer',
  target,
  types: ['evenkeel.order.*'],
  filter: null,
  maxInFlight: 8,
  enabled: true,
  ...changes,
});
const newKey = () => ({ caller: 'default', key: randomUUID(), bodyHash: 'hash' });

async function created(changes: Partial<NewConsumer> = {}): Promise<ConsumerWithSecret> {
  const result = await consumers.create(newConsumer(changes), newKey(), ada);
  if (result.kind !== 'created') throw new Error(`a new key was ${result.kind}`);
  return result.value;
}

async function select<Row>(query: ReturnType<typeof sql<Row>>): Promise<readonly Row[]> {
  return (await made.db.read((queries) => query.execute(queries))).rows;
}

const changesOf = (id: string) =>
  select(sql<{ action: string; actor: string; reason: string | null; types: unknown; filter: unknown; state: string }>`
    select action, actor, reason, types, filter, state from consumer_changes where consumer_id = ${id} order by id`);

async function healthOf(id: string) {
  const [row] = await select(sql<Record<string, unknown>>`select * from consumer_health where consumer_id = ${id}`);
  return row;
}

async function deliveryOf({ id }: WrittenDelivery) {
  const [row] = await select(
    sql<Record<string, unknown>>`select *, settled_at is not null as settled from deliveries where id = ${id}`,
  );
  return row;
}

const waitingForLocks = (count: number) =>
  waitFor(`${count} to wait for a lock`, async () => {
    const rows = await select(
      sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.length === count;
  });

/** An attempt that took 10 ms, begun `secondsAgo`. */
const attempted = ({ id }: WrittenDelivery, consumerId: string, cause: string | null, secondsAgo: number) =>
  select(sql`
    insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, cause, status, error, relay)
    values (${id}, ${consumerId}, clock_timestamp() - ${secondsAgo} * interval '1 second', 10,
      ${cause === null ? 'delivered' : 'failed'}, ${cause}, ${cause === null ? 200 : 500}, ${cause}, 'relay')`);

const receivedOrder = async () => (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;
const meantFor = (consumerId: string, orderId: string) =>
  select(sql<{ type: string }>`
    select e.type from deliveries d join events e on e.id = d.event_id
    where d.consumer_id = ${consumerId} and d.order_id = ${orderId} order by d.sequence`);

describe('a consumer that is created', () => {
  test('has a secret of 24 random bytes, is healthy, and is written down', async () => {
    const { secret, ...view } = await created({ filter: { data: { currency: 'GBP' } }, types: ['*_declined.v1', '*'] });
    expect(Buffer.from(secret.slice('whsec_'.length), 'base64')).toHaveLength(24);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
    expect(view).toMatchObject({ state: 'enabled', stateReason: null, version: 1, target, maxInFlight: 8 });
    const found = await consumers.find(view.id);
    expect(found).toEqual({
      ...view,
      health: {
        mode: 'normal',
        trouble: null,
        throttledUntil: null,
        backlog: 0,
        lagSeconds: 0,
        deadLetters: 0,
        lastHour: { attempts: 0, successes: 0, successRate: null },
        lastSuccessAt: null,
        lastFailures: [],
      },
    });
    expect(JSON.stringify(found)).not.toContain(secret);
    const { types, filter } = view;
    expect(await changesOf(view.id)).toEqual([{ action: 'created', ...ada, types, filter, state: 'enabled' }]);
  });

  test('gets the events of orders that match its types and its filter, from then on', async () => {
    const before = await receivedOrder();
    const [all, declined, euros, pounds] = [
      await created(),
      await created({ types: ['*.payment_declined.*', 'evenkeel.order.created_v1'] }),
      await created({ filter: { data: { currency: 'EUR' } } }),
      await created({ filter: { data: { currency: 'GBP' } } }),
    ];
    const after = await receivedOrder();
    expect(await meantFor(all.id, after)).toEqual([{ type: 'evenkeel.order.created.v1' }]);
    expect(await meantFor(pounds.id, after)).toHaveLength(1);
    expect(await meantFor(declined.id, after)).toEqual([]);
    expect(await meantFor(euros.id, after)).toEqual([]);
    expect(await meantFor(all.id, before)).toEqual([]);
  });

  test.each(['no\u0000thing', 'half \uD83D'])('whatever is filtered, fails no order by its text: %j', async (text) => {
    const { id } = await created({ filter: { data: { reason: text.replaceAll('\u0000', '').toWellFormed() } } });
    const orderId = await receivedOrder();
    const data = { reason: text, more: [{ reason: text }] };
    await withOrder(made.db, orderId, (order) =>
      changeOrder(order, { events: [{ type: 'evenkeel.order.payment_failed.v1', data }] }),
    );
    expect(await meantFor(id, orderId)).toEqual([{ type: 'evenkeel.order.payment_failed.v1' }]);
  });

  test('is one of twenty concurrent requests with one key, and the answer has its secret', async () => {
    const key = newKey();
    const results = await Promise.allSettled(times(20, () => consumers.create(newConsumer(), key, ada)));
    const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    expect(refused).toEqual(refused.map(() => expect.objectContaining({ code: 'idempotency_in_progress' })));
    const [first] = answers.flatMap((answer) => (answer.kind === 'created' ? [answer.value] : []));
    expect(answers.filter(({ kind }) => kind === 'created')).toHaveLength(1);
    const again = await consumers.create(newConsumer({ name: 'another' }), key, ada);
    expect(again).toEqual({ kind: 'replayed', answer: JSON.stringify(first) });
    expect(first?.secret).toMatch(/^whsec_/);
  });

  test('is no other by the same key with another body, and a new one once the key is forgotten', async () => {
    const key = newKey();
    await consumers.create(newConsumer(), key, ada);
    await failure(consumers.create(newConsumer(), { ...key, bodyHash: 'other' }, ada), 'idempotency_key_reused');
    await select(sql`
      update idempotency_answers set created_at = created_at - interval '73 hours' where key = ${key.key}`);
    const second = await consumers.create(newConsumer(), { ...key, bodyHash: 'other' }, ada);
    expect(second.kind).toBe('created');
    expect(await consumers.create(newConsumer(), { ...key, bodyHash: 'other' }, ada)).toMatchObject({
      kind: 'replayed',
    });
  });

  test('shares no key with an order', async () => {
    const key = newKey();
    const order = shop.newOrder([{ sku: await shop.sku(), quantity: 1 }]);
    expect((await made.stores.intake.accept(order, key, undefined)).kind).toBe('created');
    expect((await consumers.create(newConsumer(), key, ada)).kind).toBe('created');
  });

  test('may begin disabled: its events are held', async () => {
    const { id } = await created({ enabled: false });
    const orderId = await receivedOrder();
    expect(await consumers.find(id)).toMatchObject({ state: 'disabled', stateReason: 'because' });
    expect(await meantFor(id, orderId)).toHaveLength(1);
  });
});

describe('a change of a consumer', () => {
  test('needs the version that is expected, where one is', async () => {
    const { id } = await created();
    await failure(consumers.change(id, { name: 'b' }, 2, ada), 'version_mismatch');
    expect(await consumers.change(id, { name: 'b' }, 1, ada)).toMatchObject({ name: 'b', version: 2 });
    expect(await consumers.change(id, { name: 'c' }, undefined, ada)).toMatchObject({ name: 'c', version: 3 });
    await failure(consumers.change(randomUUID(), { name: 'd' }, undefined, ada), 'not_found');
    expect(await changesOf(id)).toHaveLength(3);
  });

  test('of two with one version, one is made', async () => {
    const { id } = await created();
    let changing: Promise<readonly PromiseSettledResult<unknown>[]> | undefined;
    await made.db.transaction(async (trx) => {
      await sql`select 1 from consumers where id = ${id} for update`.execute(trx);
      changing = Promise.allSettled(times(2, (index) => consumers.change(id, { name: `n${index}` }, 1, ada)));
      await waitingForLocks(2);
    });
    const results = (await changing) ?? [];
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await consumers.find(id)).toMatchObject({ version: 2 });
  });

  test('decides which events it gets from then on, and is written down with these', async () => {
    const { id } = await created({ filter: { data: { currency: 'EUR' } } });
    const types = ['*.created.v1'];
    const amqp = { kind: 'amqp', exchange: 'orders', routingKey: null } as const;
    const change = { types, filter: null, target: amqp, maxInFlight: 2 };
    expect(await consumers.change(id, change, undefined, ada)).toMatchObject(change);
    expect(await meantFor(id, await receivedOrder())).toHaveLength(1);
    expect((await changesOf(id)).at(-1)).toEqual({ action: 'changed', ...ada, types, filter: null, state: 'enabled' });
  });

  test('of the target ends what the former target had asked to wait', async () => {
    const { id } = await created();
    const throttle = () =>
      select(sql`
        update consumer_health set throttled_until = clock_timestamp() + interval '1 hour', throttle_streak = 3
        where consumer_id = ${id}`);
    await throttle();
    await consumers.change(id, { target: { ...target }, name: 'another' }, undefined, ada);
    expect(await healthOf(id)).toMatchObject({ throttled_until: expect.any(Date), throttle_streak: 3 });
    await consumers.change(id, { target: { ...target, url: 'https://elsewhere.example/' } }, undefined, ada);
    expect(await healthOf(id)).toMatchObject({ throttled_until: null, throttle_streak: 0 });
  });

  test('to what it is already changes nothing, and leaves nothing behind', async () => {
    const { id, version } = await created({ filter: { data: { currency: 'EUR' } } });
    await consumers.change(id, { state: 'paused' }, undefined, ada);
    const before = await consumers.find(id);
    const same = { state: 'paused', filter: { data: { currency: 'EUR' } }, target: { ...target } } as const;
    await consumers.change(id, same, undefined, { actor: 'bob', reason: 'again' });
    expect(await consumers.find(id)).toEqual(before);
    expect(before?.version).toBe(version + 1);
    expect(await changesOf(id)).toHaveLength(2);
  });

  test('pauses it with the reason, and leaves what is pending as it is', async () => {
    const { id } = await created();
    const delivery = await insertDelivery(made.db, id);
    const before = await deliveryOf(delivery);
    expect(await consumers.change(id, { state: 'paused' }, undefined, ada)).toMatchObject({
      state: 'paused',
      stateReason: 'because',
    });
    const resumed = await consumers.change(id, { state: 'enabled' }, undefined, { actor: 'bob', reason: null });
    expect(resumed).toMatchObject({ state: 'enabled', stateReason: null });
    expect(await deliveryOf(delivery)).toEqual(before);
    expect(await healthOf(id)).toMatchObject({ mode: 'normal', epoch: 0 });
    expect((await changesOf(id)).map(({ action, state }) => [action, state])).toEqual([
      ['created', 'enabled'],
      ['paused', 'paused'],
      ['resumed', 'enabled'],
    ]);
  });

  test('from disabled to enabled makes one that has deliveries held begin as in trouble', async () => {
    const { id } = await created({ enabled: false });
    const delivery = await insertDelivery(made.db, id);
    const before = await deliveryOf(delivery);
    await select(sql`
      update consumer_health set mode = 'probing', epoch = 4, failing_orders = '{a,b,c}', connection_failures = 2,
        failures = 6, failing_since = clock_timestamp(), failed_at = clock_timestamp(),
        relapses = 3, throttle_streak = 2, throttled_until = clock_timestamp() + interval '1 hour'
      where consumer_id = ${id}`);
    await consumers.change(id, { state: 'enabled' }, undefined, ada);
    expect(await healthOf(id)).toMatchObject({
      mode: 'probing',
      epoch: 5,
      failing_orders: [],
      connection_failures: 0,
      failures: 0,
      failing_since: null,
      failed_at: null,
      relapses: 0,
      reason: 'enabled again',
      trouble_since: expect.any(Date),
      next_probe_at: expect.any(Date),
      throttled_until: null,
    });
    expect(await deliveryOf(delivery)).toEqual(before);
    const { trouble } = (await consumers.find(id))?.health ?? {};
    expect(trouble).toEqual({ since: expect.any(String), reason: 'enabled again', epoch: 5 });
    expect((await changesOf(id)).at(-1)).toMatchObject({ action: 'enabled', state: 'enabled' });
  });

  test('from disabled to enabled makes one that has nothing to catch up with as new', async () => {
    const { id } = await created();
    await select(sql`update consumer_health set mode = 'probing', epoch = 4 where consumer_id = ${id}`);
    await consumers.change(id, { state: 'disabled' }, undefined, ada);
    expect(await healthOf(id)).toMatchObject({ mode: 'probing', epoch: 4 });
    await consumers.change(id, { state: 'enabled' }, undefined, ada);
    expect(await healthOf(id)).toMatchObject({ mode: 'normal', epoch: 4, trouble_since: null });
  });
});

describe('rotating the secret', () => {
  test('keeps the former one valid beside it for a day', async () => {
    const { id, secret } = await created();
    expect(await consumers.destination(id)).toEqual({ consumerId: id, target, secrets: [secret] });
    const rotated = await consumers.rotateSecret(id, ada);
    expect(rotated.secret).not.toBe(secret);
    expect(rotated.version).toBe(2);
    const [{ hours } = { hours: 0 }] = await select(sql<{ hours: number }>`
      select round(extract(epoch from former_secret_until - clock_timestamp()) / 3600)::int as hours
      from consumers where id = ${id}`);
    expect(hours).toBe(24);
    expect((await consumers.destination(id)).secrets).toEqual([rotated.secret, secret]);
    expect((await changesOf(id)).at(-1)).toMatchObject({ action: 'secret_rotated', ...ada });

    await select(sql`update consumers set former_secret_until = clock_timestamp() - interval '1 ms' where id = ${id}`);
    expect((await consumers.destination(id)).secrets).toEqual([rotated.secret]);
    expect(await consumers.find(id)).toMatchObject({ formerSecretValidUntil: null });
  });

  test('twice by mistake takes away no secret, where the version is named', async () => {
    const { id, secret } = await created();
    await consumers.rotateSecret(id, ada, 1);
    await failure(consumers.rotateSecret(id, ada, 1), 'version_mismatch');
    expect((await consumers.destination(id)).secrets).toContain(secret);
  });
});

describe('a consumer that is deleted', () => {
  test('is not found any more, and what was pending for it is dead', async () => {
    const { id } = await created();
    const [due, underWay, done] = [
      await insertDelivery(made.db, id),
      await insertDelivery(made.db, id, { attempts: 1, dueInMs: 60_000 }),
      await insertDelivery(made.db, id, { status: 'delivered' }),
    ];
    await select(sql`update deliveries set token = 'mine' where id = ${underWay.id}`);
    await select(sql`update consumer_health set mode = 'probing', epoch = 2 where consumer_id = ${id}`);
    await consumers.remove(id, ada);
    for (const one of [due, underWay]) {
      expect(await deliveryOf(one)).toMatchObject({
        status: 'dead',
        cause: 'consumer_deleted',
        settled: true,
        token: null,
      });
    }
    expect(await deliveryOf(done)).toMatchObject({ status: 'delivered', cause: null });
    expect(await healthOf(id)).toMatchObject({ mode: 'normal', epoch: 2 });
    expect((await changesOf(id)).at(-1)).toMatchObject({ action: 'deleted', ...ada, types: null });

    expect(await consumers.find(id)).toBeUndefined();
    await failure(consumers.remove(id, ada), 'not_found');
    await failure(consumers.change(id, { state: 'paused' }, undefined, ada), 'not_found');
    await failure(consumers.rotateSecret(id, ada), 'not_found');
    await failure(consumers.destination(id), 'not_found');
    expect(await meantFor(id, await receivedOrder())).toEqual([]);
  });

  test('leaves nothing pending, however much that was', async () => {
    const { id } = await created();
    await insertManyDeliveries(made.db, id, 5_001, 'pending');
    await consumers.remove(id, ada);
    const [row] = await select(sql<{ count: number }>`
      select count(*) as count from deliveries where consumer_id = ${id} and status = 'dead'`);
    expect(row?.count).toBe(5_001);
  });

  test('leaves no order behind that is changed at the same time', async () => {
    const { id } = await created();
    const [removed, ...orders] = await Promise.allSettled([consumers.remove(id, ada), ...times(10, receivedOrder)]);
    expect(removed.status).toBe('fulfilled');
    expect(orders.filter(({ status }) => status === 'rejected')).toEqual([]);
    // What slipped in is pending for one that is deleted: the relay's queue buries it.
    const left = await select(sql<{ status: string }>`
      select distinct status from deliveries where consumer_id = ${id} and status not in ('dead', 'pending')`);
    expect(left).toEqual([]);
  });

  test('waits for no delivery that somebody holds, and keeps nobody waiting for its rows', async () => {
    const { id } = await created();
    const [held, free] = [await insertDelivery(made.db, id), await insertDelivery(made.db, id)];
    await made.db.transaction(async (trx) => {
      await sql`
        update deliveries set status = 'delivered', settled_at = clock_timestamp() where id = ${held.id}`.execute(trx);
      await consumers.remove(id, ada);
      expect(await deliveryOf(free)).toMatchObject({ status: 'dead', cause: 'consumer_deleted' });
    });
    expect(await deliveryOf(held)).toMatchObject({ status: 'delivered', cause: null });
  });

  test('is gone at once, and what was pending buried so much at a time that nobody waits for it', async () => {
    const { id } = await created();
    await insertManyDeliveries(made.db, id, 3_000, 'pending');
    await consumers.remove(id, ada);
    const [row] = await select(sql<{ transactions: number; later: boolean }>`
      select count(distinct d.xmin::text)::int as transactions, bool_and(c.xmin::text <> d.xmin::text) as later
      from deliveries d join consumers c on c.id = d.consumer_id where c.id = ${id}`);
    expect(row).toEqual({ transactions: 3, later: true });
  });
});

test('the list is paged from the oldest on, without those that are deleted, and cursors are checked', async () => {
  const [first, gone, second, third] = [await created(), await created(), await created(), await created()];
  await consumers.remove(gone.id, ada);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await consumers.list({ limit: 2, cursor });
    expect(page.data.length).toBeLessThanOrEqual(2);
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  expect(seen.slice(-3)).toEqual([first.id, second.id, third.id]);
  expect(new Set(seen).size).toBe(seen.length);
  const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const bad = ['x', forged([]), forged(['1', 'a']), forged(['0000-01-01T00:00:00.000Z', 'a']), forged([1, 2])];
  for (const cursorOfOthers of [...bad, forged(['2026-01-01T00:00:00.000Z', 'a\0'])]) {
    await failure(consumers.list({ limit: 2, cursor: cursorOfOthers }), 'invalid_input');
  }
});

test('the health shows what waits, what failed, and how old it is', async () => {
  const { id } = await created();
  const other = await created();
  const old = await insertDelivery(made.db, id, { ageMs: 90_000 });
  await insertDelivery(made.db, id, { event: await insertEvent(made.db) });
  await insertDelivery(made.db, id, { status: 'dead', ageMs: 900_000 });
  await insertDelivery(made.db, other.id, { ageMs: 900_000 });
  for (const secondsAgo of times(7, (index) => 7000 - index * 1000)) await attempted(old, id, 'http_500', secondsAgo);
  await attempted(old, id, null, 30);
  await attempted(old, id, 'timeout', 20);
  await select(sql`
    update consumer_health set throttled_until = clock_timestamp() + interval '1 minute' where consumer_id = ${id}`);
  const { health } = (await consumers.find(id)) ?? {};
  expect(health).toMatchObject({
    backlog: 2,
    deadLetters: 1,
    lastHour: { attempts: 5, successes: 1, successRate: 0.2 },
    throttledUntil: expect.any(String),
    lastSuccessAt: expect.any(String),
  });
  expect(health?.lagSeconds).toBeGreaterThanOrEqual(90);
  expect(health?.lagSeconds).toBeLessThan(900);
  expect(health?.lastFailures.map(({ cause }) => cause)).toEqual(['timeout', ...times(4, () => 'http_500')]);
  expect(health?.lastFailures[0]).toMatchObject({ eventId: old.eventId, status: 500, error: 'timeout' });
  await select(sql`update consumer_health set throttled_until = clock_timestamp() where consumer_id = ${id}`);
  expect((await consumers.find(id))?.health.throttledUntil).toBeNull();
});
