import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresConsumers } from '../../src/adapters/postgres/consumers.ts';
import { postgresDeadLetters } from '../../src/adapters/postgres/dead-letters.ts';
import { postgresRedrives } from '../../src/adapters/postgres/redrives.ts';
import type { DeadLetterFilter, DeadLetters, Redrives, RedriveView } from '../../src/domain/consumer-ports.ts';
import { insertConsumer, insertDelivery, insertOrder } from '../support/delivery-rows.ts';
import { insertManyDeliveries } from '../support/many-deliveries.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { failure, times } from '../support/store-conformance/shop.ts';
import { waitFor } from '../support/wait.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let redrives: Redrives;
let letters: DeadLetters;

beforeAll(async () => {
  made = await newPostgresStores();
  redrives = postgresRedrives(made.db);
  letters = postgresDeadLetters(made.db);
});
afterAll(() => made.stop());

const ada = { actor: 'ada', reason: 'consumer is fixed' };
const newKey = () => ({ caller: 'default', key: randomUUID(), bodyHash: 'hash' });

async function select<Row>(query: ReturnType<typeof sql<Row>>): Promise<readonly Row[]> {
  return (await made.db.read((queries) => query.execute(queries))).rows;
}

/** A consumer with `count` dead letters, all of one order, by their ids from the oldest on. */
async function withDead(count: number) {
  const consumerId = await insertConsumer(made.db);
  const orderId = await insertOrder(made.db);
  const ids: number[] = [];
  for (const sequence of times(count, (index) => index + 1)) {
    const row = { orderId, sequence, status: 'dead', attempts: 3, strikes: 3 } as const;
    ids.push((await insertDelivery(made.db, consumerId, row)).id);
  }
  return { consumerId, orderId, ids };
}

async function redriveOf(filter: DeadLetterFilter): Promise<RedriveView> {
  const result = await redrives.create({ filter, ratePerSecond: 10 }, newKey(), ada);
  if (result.kind !== 'created') throw new Error(`a new key was ${result.kind}`);
  return result.value;
}

const pendingIds = async (consumerId: string) =>
  (
    await select(sql<{ id: number }>`
      select id from deliveries where consumer_id = ${consumerId} and status = 'pending' order by id`)
  ).map(({ id }) => id);

/** What the relay would write. */
const settle = (id: number | undefined, status: 'delivered' | 'dead') =>
  select(sql`
    update deliveries set status = ${status}, settled_at = clock_timestamp(),
      cause = case when ${status}::text = 'dead' then 'http_500' end where id = ${id ?? 0}`);

describe('a redrive that is made', () => {
  test('takes in all that match now, and no later ones', async () => {
    const { consumerId, ids } = await withDead(3);
    const filter = { consumerId, cause: 'http_500' };
    expect(await letters.count(filter)).toBe(3);
    const redrive = await redriveOf(filter);
    expect(redrive).toEqual({
      id: expect.any(String),
      state: 'canary',
      filter,
      ratePerSecond: 10,
      total: 3,
      sent: 0,
      delivered: 0,
      deadAgain: 0,
      ...ada,
      createdAt: expect.any(String),
      finishedAt: null,
    });
    await insertDelivery(made.db, consumerId, { status: 'dead' });
    await insertDelivery(made.db, consumerId, { status: 'dead', cause: 'timeout' });
    expect(await redrives.sendNext(redrive.id, 10)).toBe(3);
    expect(await redrives.sendNext(redrive.id, 10)).toBe(0);
    expect(await pendingIds(consumerId)).toEqual(ids);
    expect(await redrives.find(redrive.id)).toMatchObject({ total: 3, sent: 3, delivered: 0, deadAgain: 0 });
  });

  test('takes in more than one statement can', async () => {
    const consumerId = await insertConsumer(made.db);
    await insertManyDeliveries(made.db, consumerId, 5_001, 'dead');
    const { id } = await redriveOf({ consumerId });
    const [row] = await select(sql<{ count: number }>`
      select count(*) as count from deliveries where redrive_id = ${id}`);
    expect(row?.count).toBe(5_001);
    expect(await redrives.find(id)).toMatchObject({ total: 5_001 });
  });

  test('is made once for one key', async () => {
    const { consumerId } = await withDead(2);
    const key = newKey();
    const make = () => redrives.create({ filter: { consumerId }, ratePerSecond: 1 }, key, ada);
    const results = await Promise.allSettled(times(8, make));
    const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [first] = answers.flatMap((answer) => (answer.kind === 'created' ? [answer.value] : []));
    expect(answers.filter(({ kind }) => kind === 'created')).toHaveLength(1);
    expect(await make()).toEqual({ kind: 'replayed', answer: JSON.stringify(first) });
    const other = { ...key, bodyHash: 'other' };
    await failure(redrives.create({ filter: {}, ratePerSecond: 1 }, other, ada), 'idempotency_key_reused');
  });

  test('leaves alone what waits for another one, and what is meant for a deleted consumer', async () => {
    const { consumerId, orderId } = await withDead(3);
    const gone = await insertConsumer(made.db);
    await insertDelivery(made.db, gone, { orderId, sequence: 9, status: 'dead' });
    await postgresConsumers(made.db).remove(gone, ada);
    const first = await redriveOf({ orderId });
    expect(first.total).toBe(3);
    await redrives.sendNext(first.id, 1);
    await settle((await pendingIds(consumerId))[0], 'dead');
    expect(await letters.count({ orderId })).toBe(1);
    expect(await redriveOf({ orderId })).toMatchObject({ total: 1 });
    await redrives.steer(first.id, 'stop', ada);
    expect(await redriveOf({ orderId })).toMatchObject({ total: 2 });
  });

  test('at the same time as others shares no dead letter with them', async () => {
    const { consumerId } = await withDead(20);
    const totals = (await Promise.all(times(5, () => redriveOf({ consumerId })))).map(({ total }) => total);
    expect(totals.toSorted((one, two) => two - one)).toEqual([20, 0, 0, 0, 0]);
  });
});

describe('sending the next ones', () => {
  test('takes the oldest, as a retry would, and writes down each', async () => {
    const { consumerId, ids } = await withDead(3);
    const { id } = await redriveOf({ consumerId });
    expect(await redrives.sendNext(id, 2)).toBe(2);
    expect(await pendingIds(consumerId)).toEqual(ids.slice(0, 2));
    const [row] = await select(sql<Record<string, unknown>>`
      select *, next_attempt_at <= clock_timestamp() as due from deliveries where id = ${ids[0] ?? 0}`);
    expect(row).toMatchObject({ is_late: true, strikes: 0, attempts: 3, due: true, cause: null, settled_at: null });
    expect(row).toMatchObject({ redrive_id: id, redriven_at: expect.any(Date) });
    const actions = await select(sql<Record<string, unknown>>`
      select delivery_id, action, actor, reason, cause from dead_letter_actions where redrive_id = ${id} order by id`);
    expect(actions).toEqual(
      ids.slice(0, 2).map((delivery) => ({ delivery_id: delivery, action: 'redrive', ...ada, cause: 'http_500' })),
    );
  });

  test('leaves out what somebody retried or discarded, or whose consumer was deleted meanwhile', async () => {
    const { consumerId, orderId, ids } = await withDead(3);
    const gone = await insertConsumer(made.db);
    await insertDelivery(made.db, gone, { orderId, sequence: 9, status: 'dead' });
    const { id, total } = await redriveOf({ orderId });
    await letters.retry(String(ids[0]), ada);
    await letters.discard(String(ids[1]), ada);
    await postgresConsumers(made.db).remove(gone, ada);
    expect(total).toBe(4);
    expect(await redrives.sendNext(id, 10)).toBe(1);
    expect(await pendingIds(consumerId)).toEqual([ids[0], ids[2]]);
    expect(await redrives.find(id)).toMatchObject({ sent: 1 });
  });

  test('twice at once sends nothing twice, and no more than asked for', async () => {
    const { consumerId } = await withDead(20);
    const { id } = await redriveOf({ consumerId });
    const sent = await Promise.all(times(6, () => redrives.sendNext(id, 3)));
    expect(sent).toEqual(times(6, () => 3));
    expect(await redrives.find(id)).toMatchObject({ sent: 18 });
    expect(await redrives.sendNext(id, 3)).toBe(2);
  });

  test('waits for whoever holds one of them, so that 0 means that there is none', async () => {
    const { consumerId, ids } = await withDead(1);
    const { id } = await redriveOf({ consumerId });
    let sending: Promise<number> | undefined;
    await made.db.transaction(async (trx) => {
      await sql`select 1 from deliveries where id = ${ids[0] ?? 0} for update`.execute(trx);
      sending = redrives.sendNext(id, 1);
      await Promise.race([
        sending,
        waitFor('the redrive to wait', async () => {
          const rows = await select(
            sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          );
          return rows.length > 0;
        }),
      ]);
    });
    expect(await sending).toBe(1);
  });

  test('does nothing where a person paused or stopped it', async () => {
    const { consumerId } = await withDead(2);
    const { id } = await redriveOf({ consumerId });
    await redrives.steer(id, 'pause', ada);
    expect(await redrives.sendNext(id, 10)).toBe(0);
    await redrives.steer(id, 'stop', ada);
    expect(await redrives.sendNext(id, 10)).toBe(0);
    expect(await pendingIds(consumerId)).toEqual([]);
    await failure(redrives.sendNext(randomUUID(), 1), 'not_found');
  });
});

test('what became of those that were sent stays counted when the next redrive takes some of them', async () => {
  const { consumerId, ids } = await withDead(4);
  const first = await redriveOf({ consumerId });
  await redrives.sendNext(first.id, 3);
  await settle(ids[0], 'delivered');
  await settle(ids[1], 'dead');
  const counts = { total: 4, sent: 3, delivered: 1, deadAgain: 1 };
  expect(await redrives.find(first.id)).toMatchObject(counts);
  await redrives.steer(first.id, 'stop', ada);
  const second = await redriveOf({ consumerId });
  expect(second).toMatchObject({ total: 2, sent: 0, delivered: 0, deadAgain: 0 });
  expect(await redrives.find(first.id)).toMatchObject(counts);
  await redrives.sendNext(second.id, 10);
  await settle(ids[1], 'delivered');
  expect(await redrives.find(first.id)).toMatchObject(counts);
  expect(await redrives.find(second.id)).toMatchObject({ sent: 2, delivered: 1, deadAgain: 0 });
  // One that a person resolved afterwards had died again.
  await settle(ids[3], 'dead');
  await letters.discard(String(ids[3]), ada);
  expect(await redrives.find(second.id)).toMatchObject({ sent: 2, delivered: 1, deadAgain: 1 });
});

describe('a person', () => {
  test('pauses it, and lets it begin with the canary again as long as nothing was delivered', async () => {
    const { consumerId, ids } = await withDead(3);
    const { id } = await redriveOf({ consumerId });
    await redrives.sendNext(id, 1);
    expect(await redrives.steer(id, 'pause', ada)).toMatchObject({ state: 'paused', finishedAt: null });
    expect(await redrives.steer(id, 'pause', ada)).toMatchObject({ state: 'paused' });
    expect(await redrives.steer(id, 'resume', ada)).toMatchObject({ state: 'canary' });
    expect(await redrives.steer(id, 'resume', ada)).toMatchObject({ state: 'canary' });
    await redrives.steer(id, 'pause', ada);
    await settle(ids[0], 'delivered');
    expect(await redrives.steer(id, 'resume', ada)).toMatchObject({ state: 'running' });
    const changes = await select(sql<{ action: string; actor: string }>`
      select action, actor from redrive_changes where redrive_id = ${id} order by id`);
    expect(changes).toEqual(['pause', 'resume', 'pause', 'resume'].map((action) => ({ action, actor: 'ada' })));
  });

  test('stops it for good', async () => {
    const { id } = await redriveOf({ orderId: 'none' });
    expect(await redrives.steer(id, 'stop', ada)).toMatchObject({ state: 'stopped', finishedAt: expect.any(String) });
    for (const wish of ['pause', 'resume', 'stop'] as const) await failure(redrives.steer(id, wish, ada), 'conflict');
    await failure(redrives.steer(randomUUID(), 'stop', ada), 'not_found');
    expect(await redrives.find(randomUUID())).toBeUndefined();
  });
});

describe('its workflow', () => {
  test.each([
    { before: [], to: 'running', after: 'running' },
    { before: [], to: 'failed', after: 'failed' },
    { before: ['running'], to: 'completed', after: 'completed' },
    { before: ['completed'], to: 'running', after: 'completed' },
    { before: ['failed'], to: 'completed', after: 'failed' },
    { before: ['pause'], to: 'running', after: 'paused' },
    { before: ['pause'], to: 'completed', after: 'paused' },
    { before: ['stop'], to: 'failed', after: 'stopped' },
  ] as const)('after $before takes it to $to: it is $after', async ({ before, to, after }) => {
    const { id } = await redriveOf({ orderId: 'none' });
    for (const step of before) {
      await (step === 'pause' || step === 'stop' ? redrives.steer(id, step, ada) : redrives.advance(id, step));
    }
    await redrives.advance(id, to);
    const ends = ['failed', 'completed', 'stopped'].includes(after);
    const found = await redrives.find(id);
    expect(found?.state).toBe(after);
    expect(found?.finishedAt !== null).toBe(ends);
    expect((await redrives.open()).includes(id)).toBe(!ends);
  });

  test('that advances one that is not there is told so', async () => {
    expect(await failure(redrives.advance(randomUUID(), 'running'), 'not_found')).toBeDefined();
  });
});

test('the list is paged from the newest on', async () => {
  const ours: string[] = [];
  for (const orderId of times(5, (index) => `none ${index}`)) ours.push((await redriveOf({ orderId })).id);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await redrives.list({ limit: 2, cursor });
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined && seen.length < 200);
  expect(seen.filter((id) => ours.includes(id))).toHaveLength(5);
  expect(new Set(seen).size).toBe(seen.length);
  const since = await Promise.all(seen.slice(0, 5).map(async (id) => (await redrives.find(id))?.createdAt ?? ''));
  expect(since).toEqual(since.toSorted().toReversed());
});
