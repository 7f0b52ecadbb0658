import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresCatalog } from '../../src/adapters/postgres/catalog.ts';
import { postgresConsumers } from '../../src/adapters/postgres/consumers.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresDeadLetters } from '../../src/adapters/postgres/dead-letters.ts';
import { postgresEventViews } from '../../src/adapters/postgres/event-views.ts';
import { postgresIntake } from '../../src/adapters/postgres/intake.ts';
import { postgresRedrives } from '../../src/adapters/postgres/redrives.ts';
import { validateEvent } from '../../src/api/event-schemas.ts';
import { currentTraceparent } from '../../src/telemetry/trace-context.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import { expectAsDocumented, openApiDocument, operationOf } from '../unit/api-document.ts';
import { fakes, newOrder, problem, type Reply, type Send, serve } from '../unit/api-fakes.ts';

/** The API of events, consumers and dead letters over the real stores; Temporal and the sender are played. */
let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await testDatabase();
  db = connect(database.url, { pool: 8, traceparent: currentTraceparent });
  await postgresCatalog(db).put({ sku: '85123A', description: 'Heart', priceMinor: 255, currency: 'GBP' });
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

const document = await openApiDocument();

function overStores() {
  return {
    ...fakes(),
    intake: postgresIntake(db),
    consumers: postgresConsumers(db),
    events: postgresEventViews(db),
    deadLetters: postgresDeadLetters(db),
    redrives: postgresRedrives(db),
  };
}

/** What the tests read of answers; each has some of it. */
interface Shown {
  readonly id: string;
  readonly secret: string;
  readonly data: readonly { readonly id: string; readonly orderId: string; readonly envelope?: object }[];
  readonly deliveries: readonly object[];
  readonly health: object;
  readonly envelope: object;
  readonly eventId: string;
  readonly replaces: string;
  readonly total: number;
}

/** The answer, as whoever reads the document may take it. */
function documented(operationId: string, reply: Reply): Shown {
  expectAsDocumented(document, operationOf(document, operationId).operation, reply);
  return reply.json as Shown;
}

async function newConsumer(send: Send, changes: object = {}): Promise<Shown> {
  const body = { name: 'shop', url: 'https://shop.example/hooks', types: ['evenkeel.order.*'], ...changes };
  return documented('createConsumer', await send('POST', '/v1/consumers', { body, headers: keyed(randomUUID()) }));
}

function keyed(key: string) {
  return { 'idempotency-key': key };
}

async function order(send: Send): Promise<string> {
  const reply = await send('POST', '/v1/orders', { body: newOrder, headers: keyed(randomUUID()) });
  return (reply.json as { id: string }).id;
}

/** As the relay leaves a delivery that was refused once too often. */
async function deadLetter(send: Send, consumerId: string): Promise<{ id: string; orderId: string }> {
  const orderId = await order(send);
  await db.read((queries) =>
    sql`update deliveries set status = 'dead', cause = 'http_422', attempts = 10, settled_at = clock_timestamp()
      where consumer_id = ${consumerId} and order_id = ${orderId}`.execute(queries),
  );
  const reply = await send('GET', `/v1/dead-letters?consumer=${consumerId}&subject=${orderId}`);
  const [letter] = documented('listDeadLetters', reply).data;
  if (letter === undefined) throw new Error('the dead letter is not listed');
  return letter;
}

describe('a consumer', () => {
  test('is made once for a key, and shows its secret in that answer alone', async () => {
    const send = await serve(overStores());
    const request = { body: { name: 'a', url: 'https://a.example/', types: ['*'] }, headers: keyed('once') };
    const first = await send('POST', '/v1/consumers', request);
    const again = await send('POST', '/v1/consumers', request);
    const { id, secret } = documented('createConsumer', again);
    expect(again.text).toBe(first.text);
    const shown = await send('GET', `/v1/consumers/${id}`);
    documented('getConsumer', shown);
    expect(secret).toMatch(/^whsec_/);
    expect(shown.text).not.toContain(secret);
    expect(documented('listConsumers', await send('GET', '/v1/consumers')).data).toHaveLength(1);
  });

  test('is paused, resumed, disabled and enabled, and refuses to be resumed while it is disabled', async () => {
    const send = await serve(overStores());
    const { id } = await newConsumer(send);
    const path = `/v1/consumers/${id}`;
    await order(send);
    const body = { reason: 'maintenance' };
    expect(documented('pauseConsumer', await send('POST', `${path}/pause`, { body }))).toMatchObject({
      state: 'paused',
      stateReason: 'maintenance',
      version: 2,
    });
    expect(documented('pauseConsumer', await send('POST', `${path}/pause`))).toMatchObject({ version: 2 });
    expect(documented('resumeConsumer', await send('POST', `${path}/resume`))).toMatchObject({ enabled: true });
    await send('PATCH', path, { body: { enabled: false, reason: 'too slow' } });
    const refused = await send('POST', `${path}/resume`);
    expect(refused.json).toMatchObject(problem(409, 'conflict', { detail: expect.stringContaining('too slow') }));
    documented('changeConsumer', await send('PATCH', path, { body: { enabled: true } }));
    const { health } = documented('getConsumer', await send('GET', path));
    expect(health).toMatchObject({ mode: 'probing', backlog: 1 });
  });

  test('changes at the version that is expected, and rotates its secret once for one version', async () => {
    const send = await serve(overStores());
    const { id, secret } = await newConsumer(send);
    const path = `/v1/consumers/${id}`;
    const headers = { 'if-match': '"1"' };
    const rotated = await send('POST', `${path}/rotate-secret`, { headers });
    expect(documented('rotateConsumerSecret', rotated)).not.toMatchObject({ secret });
    const again = await send('POST', `${path}/rotate-secret`, { headers });
    expect(again.json).toMatchObject(problem(412, 'version_mismatch'));
    const changed = await send('PATCH', path, { headers, body: { name: 'late' } });
    expect(changed.json).toMatchObject(problem(412, 'version_mismatch'));
    expect((await send('DELETE', path, { headers })).status).toBe(412);
    documented('deleteConsumer', await send('DELETE', path));
    expect((await send('GET', path)).status).toBe(404);
  });

  test('shows the secret again under the key of its creation, until it has another one or is gone', async () => {
    const send = await serve(overStores());
    const creation = {
      headers: { 'idempotency-key': randomUUID() },
      body: { name: 'again', url: 'https://shop.example/hooks', types: ['*'] },
    };
    const made = documented('createConsumer', await send('POST', '/v1/consumers', creation));
    expect(documented('createConsumer', await send('POST', '/v1/consumers', creation))).toEqual(made);
    const path = `/v1/consumers/${made.id}`;
    await send('PATCH', path, { body: { name: 'another' } });
    expect((await send('POST', '/v1/consumers', creation)).json).toEqual(made);

    const headers = { 'if-match': '"2"' };
    const { secret } = documented('rotateConsumerSecret', await send('POST', `${path}/rotate-secret`, { headers }));
    for (const end of ['has another secret since', 'was deleted since']) {
      const again = await send('POST', '/v1/consumers', creation);
      expect(again.json).toMatchObject(problem(409, 'conflict', { detail: expect.stringContaining(end) }));
      expect(again.text).not.toContain(made.secret);
      expect(again.text).not.toContain(secret);
      await send('DELETE', path);
    }
  });
});

describe('events', () => {
  test('are listed as their schema says, each with what became of it', async () => {
    const send = await serve(overStores());
    await newConsumer(send);
    const orderId = await order(send);
    // A transaction of whoever shares the server may hold an event back for a moment.
    const data = await waitFor('the event is listed', async () => {
      const listed = documented('listEvents', await send('GET', `/v1/events?subject=${orderId}`)).data;
      return listed.length === 0 ? undefined : listed;
    });
    expect(data).toHaveLength(1);
    for (const { envelope } of data) expect(validateEvent(envelope)).toEqual([]);
    const { deliveries } = documented('getEvent', await send('GET', `/v1/events/${data[0]?.id}`));
    expect(deliveries).toContainEqual(expect.objectContaining({ status: 'pending' }));
  });
});

describe('a dead letter', () => {
  test('is sent again once, and then is none any more', async () => {
    const send = await serve(overStores());
    const { id } = await deadLetter(send, (await newConsumer(send)).id);
    const path = `/v1/dead-letters/${id}`;
    documented('getDeadLetter', await send('GET', path));
    documented('retryDeadLetter', await send('POST', `${path}/retry`, { body: { actor: 'Ada' } }));
    expect((await send('POST', `${path}/retry`)).json).toMatchObject(problem(409, 'conflict'));
    expect(documented('getDeadLetter', await send('GET', path))).toMatchObject({
      status: 'pending',
      actions: [{ action: 'retry', actor: 'Ada' }],
    });
  });

  test('is replaced by a corrected event that is as its schema says', async () => {
    const send = await serve(overStores());
    const { id } = await deadLetter(send, (await newConsumer(send)).id);
    const data = { customerId: 'c-1', totalMinor: 1530, currency: 'GBP', lines: 1 };
    const body = { data, reason: 'the wrong customer' };
    const edited = documented('editDeadLetter', await send('POST', `/v1/dead-letters/${id}/edit`, { body }));
    const event = documented('getEvent', await send('GET', `/v1/events/${edited.eventId}`));
    expect(event.envelope).toMatchObject({ id: edited.eventId, replaces: edited.replaces, data });
    expect(validateEvent(event.envelope)).toEqual([]);
  });

  test('is given up for good', async () => {
    const send = await serve(overStores());
    const { id } = await deadLetter(send, (await newConsumer(send)).id);
    const discard = { body: { reason: 'a test order' } };
    documented('discardDeadLetter', await send('POST', `/v1/dead-letters/${id}/discard`, discard));
    expect((await send('POST', `/v1/dead-letters/${id}/discard`, discard)).status).toBe(409);
    documented('getDeadLetter', await send('GET', `/v1/dead-letters/${id}`));
  });
});

describe('a redrive', () => {
  test('takes in what its dry run counted, once for a key, and is steered to its end', async () => {
    const send = await serve(overStores());
    const { id: consumerId } = await newConsumer(send);
    await deadLetter(send, consumerId);
    await deadLetter(send, consumerId);
    const filter = { consumerId };
    const groups = await send('GET', `/v1/dead-letters?consumer=${consumerId}&groupBy=cause`);
    expect(documented('listDeadLetters', groups)).toMatchObject({ groups: [{ key: 'http_422', count: 2 }] });
    const preview = await send('POST', '/v1/dead-letters/retry', { body: { filter, dryRun: true } });
    expect(documented('createRedrive', preview)).toMatchObject({
      count: 2,
      byConsumer: [{ key: consumerId, count: 2 }],
    });
    const request = { body: { filter }, headers: keyed('monday') };
    const made = await send('POST', '/v1/dead-letters/retry', request);
    const { id, total } = documented('createRedrive', made);
    expect(total).toBe(2);
    expect((await send('POST', '/v1/dead-letters/retry', request)).text).toBe(made.text);
    documented('pauseRedrive', await send('POST', `/v1/redrives/${id}/pause`));
    documented('resumeRedrive', await send('POST', `/v1/redrives/${id}/resume`));
    expect(documented('stopRedrive', await send('POST', `/v1/redrives/${id}/stop`))).toMatchObject({
      state: 'stopped',
    });
    expect((await send('POST', `/v1/redrives/${id}/resume`)).json).toMatchObject(problem(409, 'conflict'));
    documented('getRedrive', await send('GET', `/v1/redrives/${id}`));
    expect(documented('listRedrives', await send('GET', '/v1/redrives')).data).toHaveLength(1);
  });
});

describe('a cursor that is none of ours', () => {
  test.each(['consumers', 'events', 'dead-letters', 'redrives'])('is refused by the list of %s', async (list) => {
    const reply = await (await serve(overStores()))('GET', `/v1/${list}?cursor=x`);
    expect(reply.json).toMatchObject(problem(422, 'invalid_input'));
  });
});
