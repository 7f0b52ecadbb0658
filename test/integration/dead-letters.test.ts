import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresConsumers } from '../../src/adapters/postgres/consumers.ts';
import { postgresDeadLetters } from '../../src/adapters/postgres/dead-letters.ts';
import { postgresEventViews } from '../../src/adapters/postgres/event-views.ts';
import type { DeadLetterFilter, DeadLetters } from '../../src/domain/consumer-ports.ts';
import { type DeliveryRow, insertConsumer, insertDelivery, type WrittenDelivery } from '../support/delivery-rows.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { failure, times } from '../support/store-conformance/shop.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let letters: DeadLetters;

beforeAll(async () => {
  made = await newPostgresStores();
  letters = postgresDeadLetters(made.db);
});
afterAll(() => made.stop());

const ada = { actor: 'ada', reason: 'fixed it' };

async function select<Row>(query: ReturnType<typeof sql<Row>>): Promise<readonly Row[]> {
  return (await made.db.read((queries) => query.execute(queries))).rows;
}

const dead = (consumerId: string, row: DeliveryRow = {}) =>
  insertDelivery(made.db, consumerId, { status: 'dead', attempts: 5, strikes: 5, ...row });

async function deliveryOf(id: number | string) {
  const [row] = await select(
    sql<Record<string, unknown>>`
      select *, next_attempt_at <= clock_timestamp() as due, settled_at is not null as settled
      from deliveries where id = ${Number(id)}`,
  );
  return row;
}

const actionsOf = ({ id }: WrittenDelivery) =>
  select(sql<Record<string, unknown>>`
    select action, actor, reason, cause, event_id from dead_letter_actions where delivery_id = ${id} order by id`);

const idText = ({ id }: WrittenDelivery) => String(id);

async function listed(filter: DeadLetterFilter, limit = 2): Promise<readonly string[]> {
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await letters.list(filter, { limit, cursor });
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return seen;
}

async function deleted(consumerId: string): Promise<void> {
  await postgresConsumers(made.db).remove(consumerId, ada);
}

describe('the dead letters', () => {
  test('are listed from the oldest on, and only those that match all of the filter', async () => {
    const [consumerId, other] = [await insertConsumer(made.db, { name: 'the one' }), await insertConsumer(made.db)];
    const type = 'evenkeel.order.payment_voided.v1';
    const young = await dead(consumerId, { settledMsAgo: 10_000, cause: 'timeout' });
    const old = await dead(consumerId, { settledMsAgo: 90_000, type, lastStatus: 500, lastError: 'said 500' });
    const middle = await dead(consumerId, { settledMsAgo: 50_000, orderId: old.orderId, sequence: 2 });
    await dead(other, { settledMsAgo: 60_000 });
    await insertDelivery(made.db, consumerId, { status: 'delivered', settledMsAgo: 60_000 });

    expect(await listed({ consumerId })).toEqual([old, middle, young].map(idText));
    expect(await listed({ consumerId, cause: 'timeout' })).toEqual([idText(young)]);
    expect(await listed({ consumerId, orderId: old.orderId })).toEqual([old, middle].map(idText));
    expect(await listed({ orderId: old.orderId, type: '*.payment_voided.*' })).toEqual([idText(old)]);
    expect(await listed({ consumerId, type: '*.payment_voided_v1' })).toEqual([]);
    const [, { deadSince: since } = { deadSince: '' }, { deadSince: until } = { deadSince: '' }] = (
      await letters.list({ consumerId }, { limit: 9 })
    ).data;
    expect(await listed({ consumerId, since })).toEqual([middle, young].map(idText));
    expect(await listed({ consumerId, since, until })).toEqual([idText(middle)]);
    expect(await letters.count({ consumerId, since, until })).toBe(1);
    expect((await letters.list({ consumerId }, { limit: 1 })).data).toEqual([
      {
        id: idText(old),
        consumerId,
        consumerName: 'the one',
        eventId: old.eventId,
        type,
        orderId: old.orderId,
        sequence: 1,
        cause: 'http_500',
        attempts: 5,
        eventAt: expect.any(String),
        deadSince: expect.any(String),
        lastStatus: 500,
        lastError: 'said 500',
      },
    ]);
  });

  test('that died in one moment are paged without a gap', async () => {
    const consumerId = await insertConsumer(made.db);
    const all = await Promise.all(times(7, () => dead(consumerId)));
    await select(sql`update deliveries set settled_at = '2026-01-01T00:00:00Z' where consumer_id = ${consumerId}`);
    const inOrder = all.map(({ id }) => id).toSorted((one, two) => one - two);
    expect(await listed({ consumerId })).toEqual(inOrder.map(String));
  });

  test('are grouped by cause, consumer and type, the largest group first, with the newest error', async () => {
    const [one, two] = [await insertConsumer(made.db), await insertConsumer(made.db)];
    const { orderId } = await dead(one, { settledMsAgo: 50_000, lastError: 'old' });
    const of = (row: DeliveryRow) => ({ orderId, ...row });
    await dead(one, of({ sequence: 2, settledMsAgo: 10_000, lastError: 'new' }));
    await dead(two, of({ sequence: 3, settledMsAgo: 90_000, cause: 'timeout' }));
    await dead(two, of({ sequence: 4, settledMsAgo: 70_000, type: 'evenkeel.order.cancelled.v1' }));
    await insertDelivery(made.db, two, of({ sequence: 5 }));
    const filter = { orderId };
    const [large, small] = await letters.groups(filter, 'cause');
    expect(large).toMatchObject({ key: 'http_500', count: 3, example: 'new' });
    expect(small).toMatchObject({ key: 'timeout', count: 1, example: null });
    const ageMs = ({ oldest = '', newest = '' } = {}) => Date.parse(newest) - Date.parse(oldest);
    expect(Math.abs(ageMs(large) - 60_000)).toBeLessThan(5_000);
    expect(ageMs(small)).toBe(0);
    const keys = async (by: 'consumer' | 'type') =>
      (await letters.groups(filter, by)).map(({ key, count }) => [key, count]);
    expect(await keys('consumer')).toEqual([one, two].toSorted().map((id) => [id, 2]));
    expect(await keys('type')).toEqual([
      ['evenkeel.order.created.v1', 3],
      ['evenkeel.order.cancelled.v1', 1],
    ]);
  });

  test('of a deleted consumer are shown, but counted among none that can be sent again', async () => {
    const consumerId = await insertConsumer(made.db);
    await dead(consumerId);
    await insertDelivery(made.db, consumerId);
    expect(await letters.count({ consumerId })).toBe(1);
    await deleted(consumerId);
    expect(await letters.count({ consumerId })).toBe(0);
    expect(await listed({ consumerId, cause: 'consumer_deleted' })).toHaveLength(1);
    expect(await listed({ consumerId })).toHaveLength(2);
  });
});

test.each(['', '0', '-1', '1.0', '1e3', ' 1', 'x', '9'.repeat(30), '999999999'])(
  '%j names no dead letter',
  async (id) => {
    expect(await letters.find(id)).toBeUndefined();
    await failure(letters.retry(id, ada), 'not_found');
    await failure(letters.edit(id, {}, ada), 'not_found');
    await failure(letters.discard(id, ada), 'not_found');
  },
);

describe('a retry', () => {
  test('makes a dead letter due now, late, and as if it had never failed', async () => {
    const consumerId = await insertConsumer(made.db);
    const letter = await dead(consumerId, { lastStatus: 500, lastError: 'said 500', dueInMs: 90_000 });
    await letters.retry(idText(letter), ada);
    expect(await deliveryOf(letter.id)).toMatchObject({
      status: 'pending',
      is_late: true,
      attempts: 5,
      strikes: 0,
      due: true,
      token: null,
      settled: false,
      cause: null,
      last_status: 500,
      last_error: 'said 500',
    });
    expect(await actionsOf(letter)).toEqual([{ action: 'retry', ...ada, cause: 'http_500', event_id: null }]);
    await failure(letters.retry(idText(letter), ada), 'conflict');
  });

  test('of ten at once is made once', async () => {
    const letter = await dead(await insertConsumer(made.db));
    const results = await Promise.allSettled(times(10, () => letters.retry(idText(letter), ada)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    expect(refused).toEqual(refused.map(() => expect.objectContaining({ code: 'conflict' })));
    expect(await actionsOf(letter)).toHaveLength(1);
  });

  test('is refused for a deleted consumer, and says so', async () => {
    const consumerId = await insertConsumer(made.db);
    const letter = await dead(consumerId);
    await deleted(consumerId);
    const refusal = await failure(letters.retry(idText(letter), ada), 'conflict');
    expect(refusal.message).toContain('deleted');
    await failure(letters.edit(idText(letter), {}, ada), 'conflict');
    expect(await deliveryOf(letter.id)).toMatchObject({ status: 'dead' });
    await letters.discard(idText(letter), ada);
    expect(await deliveryOf(letter.id)).toMatchObject({ status: 'discarded' });
  });

  test('is refused for a delivery that is not dead', async () => {
    const consumerId = await insertConsumer(made.db);
    for (const status of ['pending', 'delivered', 'discarded', 'replaced'] as const) {
      const delivery = await insertDelivery(made.db, consumerId, { status });
      const refusal = await failure(letters.retry(idText(delivery), ada), 'conflict');
      expect(refusal.message).toContain(status);
      await failure(letters.edit(idText(delivery), {}, ada), 'conflict');
      await failure(letters.discard(idText(delivery), ada), 'conflict');
      expect(await letters.find(idText(delivery))).toBeUndefined();
    }
  });
});

describe('an edit', () => {
  const data = { reason: 'corrected' };

  test('makes an event in the place of the original, for this consumer alone', async () => {
    const [consumerId] = [await insertConsumer(made.db), await insertConsumer(made.db)];
    const letter = await dead(consumerId, { sequence: 3, ageMs: 90_000, data: { reason: 'wrong' } });
    const { deliveryId, eventId } = await letters.edit(idText(letter), data, ada);
    const events = postgresEventViews(made.db);
    const original = await events.find(letter.eventId);
    const corrected = await events.find(eventId);
    expect(corrected).toMatchObject({
      type: original?.type,
      orderId: letter.orderId,
      sequence: 3,
      at: original?.at,
      replaces: letter.eventId,
      envelope: { ...original?.envelope, id: eventId, replaces: letter.eventId, data },
      deliveries: [{ id: deliveryId, consumerId, status: 'pending', attempts: 0 }],
    });
    expect(await deliveryOf(deliveryId)).toMatchObject({ is_late: true, due: true, sequence: 3 });
    expect(await deliveryOf(letter.id)).toMatchObject({ status: 'replaced', cause: null, settled: true });
    expect(await actionsOf(letter)).toEqual([{ action: 'edit', ...ada, cause: 'http_500', event_id: eventId }]);
  });

  test('keeps the trace of the change that wrote the original', async () => {
    const letter = await dead(await insertConsumer(made.db));
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const body = { ...(await letters.find(idText(letter)))?.envelope, traceparent };
    await select(sql`alter table events disable trigger user`);
    await select(sql`update events set body = ${JSON.stringify(body)} where id = ${letter.eventId}`);
    await select(sql`alter table events enable trigger user`);
    const { deliveryId, eventId } = await letters.edit(idText(letter), data, ada);
    const again = await postgresEventViews(made.db).find(eventId);
    expect(again?.envelope).toMatchObject({ traceparent });
    expect(again?.deliveries).toMatchObject([{ id: deliveryId }]);
  });

  test('of what was edited before replaces that, and the first one of two at once is made', async () => {
    const letter = await dead(await insertConsumer(made.db));
    const first = await letters.edit(idText(letter), data, ada);
    await select(sql`
      update deliveries set status = 'dead', cause = 'http_422', settled_at = clock_timestamp()
      where id = ${Number(first.deliveryId)}`);
    const results = await Promise.allSettled([
      letters.edit(first.deliveryId, { reason: 'again' }, ada),
      letters.edit(first.deliveryId, { reason: 'again' }, ada),
    ]);
    const [second] = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await postgresEventViews(made.db).find(second?.eventId ?? '')).toMatchObject({ replaces: first.eventId });
  });

  test('changes nothing of the order’s own timeline', async () => {
    const consumerId = await insertConsumer(made.db, { types: ['evenkeel.order.created.v1'] });
    const letter = await dead(consumerId);
    const { eventId } = await letters.edit(idText(letter), data, ada);
    const rows = await select(sql<{ id: string }>`
      select id from events where order_id = ${letter.orderId} and replaces is null`);
    expect(rows.map(({ id }) => id)).toEqual([letter.eventId]);
    expect(eventId).not.toBe(letter.eventId);
    // And the number stays the original's: no second event can take it.
    const twice = select(sql`
      insert into events (id, order_id, sequence, type, at, body)
      select ${randomUUID()}, order_id, sequence, type, at, body from events where id = ${letter.eventId}`);
    await expect(twice).rejects.toThrow('events_order_sequence');
  });
});

test('what is discarded is nobody’s any more, and why is kept', async () => {
  const letter = await dead(await insertConsumer(made.db));
  await letters.discard(idText(letter), ada);
  expect(await deliveryOf(letter.id)).toMatchObject({ status: 'discarded', cause: null, settled: true });
  expect(await actionsOf(letter)).toMatchObject([{ action: 'discard', ...ada }]);
  await failure(letters.discard(idText(letter), ada), 'conflict');
  await failure(letters.retry(idText(letter), ada), 'conflict');
});

test('a dead letter is shown with its envelope, its attempts and what people did, also when it is none any more', async () => {
  const consumerId = await insertConsumer(made.db);
  const letter = await dead(consumerId, { cause: 'timeout', settledMsAgo: 60_000, data: { reason: 'x' } });
  await select(sql`
    insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, cause, relay)
    values (${letter.id}, ${consumerId}, clock_timestamp(), 7, 'failed', 'timeout', 'r1')`);
  const before = await letters.find(idText(letter));
  expect(before).toMatchObject({
    status: 'dead',
    cause: 'timeout',
    envelope: { id: letter.eventId, data: { reason: 'x' } },
    log: [{ cause: 'timeout', relay: 'r1', durationMs: 7 }],
    actions: [],
  });
  await letters.retry(idText(letter), ada);
  const after = await letters.find(idText(letter));
  expect(after).toEqual({
    ...before,
    status: 'pending',
    actions: [{ at: expect.any(String), action: 'retry', ...ada }],
  });
  await select(sql`
    update deliveries set status = 'dead', cause = 'http_500', settled_at = clock_timestamp() where id = ${letter.id}`);
  await letters.discard(idText(letter), { actor: 'bob', reason: null });
  const last = await letters.find(idText(letter));
  expect(last).toMatchObject({ status: 'discarded', cause: 'http_500' });
  expect(last?.deadSince).not.toBe(before?.deadSince);
  expect(last?.actions.map(({ action, actor }) => [action, actor])).toEqual([
    ['retry', 'ada'],
    ['discard', 'bob'],
  ]);
});
