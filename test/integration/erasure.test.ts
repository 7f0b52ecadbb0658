import { randomBytes, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresApiKeys } from '../../src/adapters/postgres/api-keys.ts';
import { insertAudit } from '../../src/adapters/postgres/audit-log.ts';
import { postgresCatalog } from '../../src/adapters/postgres/catalog.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresErasure } from '../../src/adapters/postgres/erasure.ts';
import { postgresIntake } from '../../src/adapters/postgres/intake.ts';
import { postgresViews } from '../../src/adapters/postgres/views.ts';
import { customerHashes, parseKeyRing } from '../../src/adapters/temporal/key-ring.ts';
import { validateEvent } from '../../src/api/event-schemas.ts';
import { idempotencyOf } from '../../src/api/idempotency.ts';
import { markedColumns, newMark, newPlainMark } from '../support/marks.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await testDatabase();
  db = connect(database.url, { pool: 4 });
  await postgresCatalog(db).put({ sku: 'LANTERN', description: 'Lantern', priceMinor: 255, currency: 'GBP' });
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

const hashesOf = customerHashes(parseKeyRing(`k1:${randomBytes(32).toString('base64')}`));
const erasures = () => postgresErasure(db, hashesOf);

async function request() {
  const entry = { actor: 'key:ops', roles: [], action: 'eraseCustomer', subject: '/v1/erasures' } as const;
  const audit = { ...entry, outcome: 'allowed', reason: 'asked for', traceId: null } as const;
  const auditId = await db.transaction((trx) => insertAudit(trx, audit));
  return { actor: 'key:ops', reason: 'asked for', auditId };
}

const query = <Row extends object>(text: string): Promise<Row[]> =>
  db.read(async (queries) => (await sql<Row>`${sql.raw(text)}`.execute(queries)).rows);

const newMarks = () => ({
  customer: newPlainMark('c'),
  name: newMark('Ada'),
  line: newMark('12 St James Square'),
  city: newMark('London'),
  postcode: newPlainMark('P'),
  email: newPlainMark('ada@'),
  token: newPlainMark('tok'),
  words: newMark('my own words'),
});
type Marks = ReturnType<typeof newMarks>;

function bodyOf(marks: Marks) {
  const address = { name: marks.name, line1: marks.line, city: marks.city, postalCode: marks.postcode, country: 'GB' };
  return {
    customerId: marks.customer,
    currency: 'GBP',
    items: [{ sku: 'LANTERN', quantity: 2 }],
    payment: { token: marks.token },
    shippingAddress: address,
  };
}

async function submit(marks: Marks, own = false, key: string = randomUUID()): Promise<string> {
  const body = bodyOf(marks);
  const identity = { caller: 'key:x', roles: [], ...(own ? { customerId: marks.customer } : {}) } as const;
  const accepted = await postgresIntake(db).accept(body, idempotencyOf(key, body, identity), undefined);
  if (accepted.kind !== 'created') throw new Error('the order was there');
  return accepted.order.id;
}

/** Puts what an order's way may leave behind wherever it may stand, and ends the order. */
async function live(orderId: string, marks: Marks): Promise<void> {
  const { shippingAddress } = bodyOf(marks);
  await db.transaction(async (trx) => {
    const event = async (sequence: number, type: string, data: object) => {
      const id = randomUUID();
      const time = '2026-01-02T03:04:05.678Z';
      const rest = { datacontenttype: 'application/json', sequence: String(sequence).padStart(10, '0') };
      const about = { id, source: '/evenkeel/orders', type, time, subject: orderId, ...rest, correlationid: orderId };
      await sql`insert into events (id, order_id, sequence, type, at, body)
        values (${id}, ${orderId}, ${sequence}, ${type}, now(), ${JSON.stringify({ specversion: '1.0', ...about, data })})`.execute(
        trx,
      );
      return id;
    };
    const key = (step: string) => `order-${orderId}:${step}:1`;
    await sql`insert into fulfillments (id, order_id, ordinal, reserve_key, location, amount_minor, shipment_id, tracking_number)
      values (${`${orderId}-1`}, ${orderId}, 1, ${key('reserve')}, 'main', 510, 'shp_81', ${marks.words})`.execute(trx);
    await sql`insert into effects (key, order_id, kind, input, outcome, requested_at, settled_at) values
      (${key('authorize')}, ${orderId}, 'authorize', ${JSON.stringify({ orderId, amountMinor: 510, currency: 'GBP', token: marks.token })},
        ${JSON.stringify({ outcome: 'declined', reason: `no card ${marks.token}` })}, now(), now()),
      (${key('book')}, ${orderId}, 'book', ${JSON.stringify({ orderId, address: shippingAddress, items: [] })},
        ${JSON.stringify({ outcome: 'booked', shipmentId: 'shp_81', trackingNumber: marks.words })}, now(), now())`.execute(
      trx,
    );
    await sql`insert into payment_entries (order_id, key, operation, phase, amount_minor, currency, code, at) values
      (${orderId}, ${key('authorize')}, 'authorize', 'request', 510, 'GBP', null, now()),
      (${orderId}, ${key('authorize')}, 'authorize', 'failure', 510, 'GBP', ${`no card ${marks.token}`}, now())`.execute(
      trx,
    );
    await sql`insert into attentions (order_id, id, step, reason, allowed, opened_at)
      values (${orderId}, 'att-1', 'book', ${`${marks.line} is unknown`}, '["retry"]', now())`.execute(trx);
    await sql`insert into decisions (id, order_id, attention_id, action, actor, reason, correction, created_at)
      values (${randomUUID()}, ${orderId}, 'att-1', 'retry_corrected', 'bob', ${`${marks.name} called`},
        ${JSON.stringify({ shippingAddress })}, now())`.execute(trx);
    await sql`insert into inbox (channel, message_id, order_id, digest, last_error)
      values ('amqp', ${randomUUID()}, ${orderId}, 'd', ${`got ${marks.email}`})`.execute(trx);
    await sql`insert into inbox (channel, message_id, last_error, parked_at)
      values ('amqp', ${randomUUID()}, ${`customerId ${marks.customer} is not`}, now())`.execute(trx);
    const data = { fulfillmentId: `${orderId}-1`, shipmentId: 'shp_81', trackingNumber: marks.words };
    await event(2, 'evenkeel.order.shipment_booked.v1', data);
    await event(3, 'evenkeel.order.cancellation_requested.v1', { reason: marks.words });
    const last = await event(4, 'evenkeel.order.cancelled.v1', { reason: marks.words });
    const dead = sql`'dead', 'rejected', now()`;
    const { rows } = await sql<{ id: number }>`
      insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at, last_error, status, cause, settled_at)
      values (${last}, 'c1', ${orderId}, 4, now(), now(), ${`400: ${marks.customer}`}, ${dead}) returning id`.execute(
      trx,
    );
    await sql`insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, cause, answer, error, relay)
      values (${rows[0]?.id}, 'c1', now(), 1, 'failed', 'rejected', ${JSON.stringify({ got: marks.name })}, ${marks.customer}, 'r')`.execute(
      trx,
    );
    await sql`update orders set status = 'cancelled', finished_at = now(), reason = ${marks.words}, email = ${marks.email},
      cancel_reason = ${marks.words}, event_sequence = 4 where id = ${orderId}`.execute(trx);
  });
}

test('who is forgotten is found nowhere any more, and the books are as they were', async () => {
  const marks = newMarks();
  const id = await submit(marks, true);
  await live(id, marks);
  await postgresApiKeys(db).create({
    name: marks.name,
    roles: ['shop'],
    customerId: marks.customer,
    validDays: 1,
    actor: 'key:ops',
  });
  // What is to be erased is there: else nothing would be shown by its absence.
  expect(await markedColumns(marks, query)).toEqual(
    expect.arrayContaining([
      'api_keys.name',
      'attempts.answer',
      'decisions.correction',
      'effects.input',
      'events.body',
      'inbox.last_error',
      'orders.caller',
      'payment_entries.code',
    ]),
  );
  const books = () =>
    query(`select o.id, o.total_minor, o.currency, o.status, o.created_at, o.finished_at, e.id as event, e.sequence, e.at,
      e.type, (select json_agg((p.id, p.key, p.phase, p.amount_minor, p.at) order by p.id) from payment_entries p
        where p.order_id = o.id) as payments
      from orders o join events e on e.order_id = o.id where o.id = '${id}' order by e.sequence`);
  const before = await books();
  const { version } = (await postgresViews(db).find(id)) ?? {};

  const erased = await erasures().erase(marks.customer, await request());
  // Those of the api_keys are audited as they are made: the log is append-only, and its map says so.
  expect(await markedColumns(marks, query)).toEqual([]);
  expect(erased).toMatchObject({ orders: 1, customerId: `erased-${erased.id}` });
  expect(await books()).toEqual(before);
  const after = await postgresViews(db).find(id);
  expect(after).toMatchObject({ customerId: erased.customerId, version: (version ?? 0) + 1 });
  for (const { body } of await query<{ body: string }>(`select body from events where order_id = '${id}'`)) {
    expect(validateEvent(JSON.parse(body))).toEqual([]);
  }
  expect(await erasures().erase(marks.customer, await request())).toEqual(erased);
});

test('what came since is forgotten with the rest, under the same name', async () => {
  const marks = newMarks();
  await live(await submit(marks), marks);
  const first = await erasures().erase(marks.customer, await request());
  await live(await submit(marks), marks);
  expect(await erasures().erase(marks.customer, await request())).toEqual({ ...first, orders: 2 });
  expect(await markedColumns(marks, query)).toEqual([]);
});

test('a customer who came back, and chose the same key for an order as before, is forgotten again', async () => {
  const marks = newMarks();
  await live(await submit(marks, true, 'order 1'), marks);
  const first = await erasures().erase(marks.customer, await request());
  await live(await submit(marks, true, 'order 1'), marks);
  expect(await erasures().erase(marks.customer, await request())).toEqual({ ...first, orders: 2 });
  expect(await markedColumns(marks, query)).toEqual([]);
});

test('an order that came meanwhile is said to be there, and not that nothing is left', async () => {
  const marks = newMarks();
  await live(await submit(marks), marks);
  let late: string | undefined;
  const busy: Database = {
    ...db,
    async transaction(work) {
      late ??= await submit(marks);
      return await db.transaction(work);
    },
  };
  const refused = await postgresErasure(busy, hashesOf)
    .erase(marks.customer, await request())
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'conflict', message: expect.stringContaining(late ?? 'none') });
});

test('more orders than go at a time are all forgotten', async () => {
  const marks = newMarks();
  for (let n = 0; n < 201; n += 1) await submit(marks);
  await query(`update orders set status = 'rejected', finished_at = now() where customer_id = '${marks.customer}'`);
  expect(await erasures().erase(marks.customer, await request())).toMatchObject({ orders: 201 });
  expect(await markedColumns(marks, query)).toEqual([]);
});

test('orders that are not at their end are named, and nothing is erased', async () => {
  const marks = newMarks();
  const done = await submit(marks);
  await live(done, marks);
  const open = await submit(marks);
  await expect(erasures().erase(marks.customer, await request())).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(open),
  });
  expect((await postgresViews(db).find(done))?.customerId).toBe(marks.customer);
});

test.each([
  [
    'whose payment has no answer yet',
    (id: string) => `insert into effects (key, order_id, kind, input, requested_at)
    values ('order-${id}:void:1', '${id}', 'void', '{}', now())`,
  ],
  [
    'whose event is on its way to a consumer',
    (id: string) => `update deliveries set status = 'pending', cause = null,
    settled_at = null, token = 't', next_attempt_at = now() + interval '1 minute' where order_id = '${id}'`,
  ],
])('an order %s is not erased yet', async (_, make) => {
  const marks = newMarks();
  const id = await submit(marks);
  await live(id, marks);
  await query(make(id));
  await expect(erasures().erase(marks.customer, await request())).rejects.toMatchObject({ code: 'conflict' });
  expect((await postgresViews(db).find(id))?.customerId).toBe(marks.customer);
});

test('the same key with the same body makes no second order of one whose customer is forgotten', async () => {
  const marks = newMarks();
  const idempotency = idempotencyOf(randomUUID(), bodyOf(marks));
  await postgresIntake(db).accept(bodyOf(marks), idempotency, undefined);
  await query(`update orders set status = 'rejected', finished_at = now() where customer_id = '${marks.customer}'`);
  await erasures().erase(marks.customer, await request());
  await expect(postgresIntake(db).accept(bodyOf(marks), idempotency, undefined)).rejects.toMatchObject({
    code: 'idempotency_key_reused',
  });
});

test('nothing else rewrites what happened, not even for somebody who is forgotten', async () => {
  const marks = newMarks();
  const id = await submit(marks);
  await live(id, marks);
  const erasing = `select set_config('evenkeel.erasing', 'on', true)`;
  const rewrite = (statement: string) =>
    db.transaction(async (trx) => {
      await sql.raw(erasing).execute(trx);
      await sql.raw(statement).execute(trx);
    });
  await expect(rewrite(`update events set body = '{}' where order_id = '${id}'`)).rejects.toThrow(/append-only/);
  await erasures().erase(marks.customer, await request());
  await expect(query(`update events set body = '{}' where order_id = '${id}'`)).rejects.toThrow(/append-only/);
  await expect(rewrite(`update payment_entries set amount_minor = 1 where order_id = '${id}'`)).rejects.toThrow(
    /append-only/,
  );
  await expect(rewrite(`delete from events where order_id = '${id}'`)).rejects.toThrow(/append-only/);
});

test('without a key nobody is recognized, and asking again does no harm', async () => {
  const marks = newMarks();
  await live(await submit(marks), marks);
  const keyless = postgresErasure(db, () => []);
  expect(await keyless.erase(marks.customer, await request())).toMatchObject({ orders: 1 });
  expect(await keyless.erase(marks.customer, await request())).toMatchObject({ orders: 0 });
});
