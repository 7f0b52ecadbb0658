/** Orders in by a queue and events out by an exchange, with a real RabbitMQ beside the whole of Evenkeel. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, afterEach, expect, onTestFinished, test } from 'vitest';
import { validateEvent } from '../../src/api/event-schemas.ts';
import { audit } from '../support/audit.ts';
import {
  DEAD,
  type OrderMessage,
  type QueueReceipt,
  bind,
  drain,
  handIn,
  onBroker,
  orderMessage,
  receiptsOf,
} from '../support/broker-client.ts';
import { deleteConsumers, settled } from '../support/deliveries.ts';
import { type TestBroker, startBroker } from '../support/rabbitmq.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { pooled, waitFor } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const maxRetries = 2;

let rabbit: TestBroker;
afterAll(() => rabbit.stop());

const stack = useStack(async () => {
  rabbit = await startBroker();
  return {
    env: {
      AMQP_URL: rabbit.url,
      EVENKEEL_AMQP_MAX_RETRIES: String(maxRetries),
      EVENKEEL_DELIVERY_TIMEOUT_MS: '3000',
      EVENKEEL_DELIVERY_BACKOFF_MS: '100',
    },
  };
});

afterEach(() => deleteConsumers(stack()));

async function sendAll(messages: readonly OrderMessage[]): Promise<void> {
  await pooled(messages, 4, (one) => handIn(rabbit.url, one));
}

async function idsOf(keys: readonly string[]): Promise<string[]> {
  const rows = await stack().sql<{ id: string }>('select id from orders where idempotency_key = any($1)', [keys]);
  return rows.map(({ id }) => id);
}

/** Resolves with the ids once each key has its order. */
async function accepted(keys: readonly string[]): Promise<string[]> {
  const look = () => idsOf(keys);
  return waitFor(
    `${keys.length} orders`,
    async () => {
      const ids = await look();
      return ids.length === keys.length && ids;
    },
    undefined,
    look,
  );
}

async function ordersInAll(): Promise<number> {
  const [row] = await stack().sql<{ orders: number }>('select count(*)::int as orders from orders');
  return row?.orders ?? 0;
}

/** Resolves once the API has logged just that of each. */
async function heardOf(messages: readonly OrderMessage[], lines: readonly string[]): Promise<void> {
  const saidOf = ({ messageId }: OrderMessage) =>
    stack().api.log.flatMap((line) => (line['messageId'] === messageId ? [line['msg']] : []));
  const others = () => messages.map(saidOf).filter((said) => String(said) !== String(lines));
  await waitFor(`${messages.length} messages: ${String(lines)}`, () => others().length === 0, undefined, others);
}

/** A consumer of all events of orders. */
async function exchangeConsumer(exchange: string): Promise<string> {
  const body = { name: exchange, amqp: { exchange }, types: ['evenkeel.order.*'] };
  const reply = await stack().request('POST', '/v1/consumers', body, { 'idempotency-key': newKey() });
  expect(reply).toMatchObject({ status: 201 });
  return (reply.json as { id: string }).id;
}

async function healthOf(id: string): Promise<{ health: { mode: string } }> {
  return (await stack().request('GET', `/v1/consumers/${id}`)).json as { health: { mode: string } };
}

async function mode(id: string, wanted: string): Promise<void> {
  const isSo = async () => (await healthOf(id)).health.mode === wanted;
  await waitFor(`its mode is ${wanted}`, isSo, undefined, () => healthOf(id));
}

async function storedEvents(orderIds: readonly string[]): Promise<{ id: string; body: string }[]> {
  return stack().sql('select id, body from events where order_id = any($1)', [orderIds]);
}

/** All of the events, each once, and those of one order in their sequence. */
function expectAll(receipts: readonly QueueReceipt[], events: readonly { readonly id: string }[]): void {
  expect(receipts.map(({ eventId }) => eventId).toSorted()).toEqual(events.map(({ id }) => id).toSorted());
  for (const [subject, some] of Map.groupBy(receipts, (receipt) => receipt.subject)) {
    const sequences = some.map(({ sequence }) => sequence);
    expect([subject, sequences]).toEqual([subject, sequences.toSorted((a, b) => a - b)]);
  }
}

/** Waits for the orders' end; empty if all are completed and sound. */
async function wrongWith(ids: readonly string[]): Promise<string[]> {
  const orders = await stack().ended(ids);
  const others = orders.filter(({ status }) => status !== 'completed');
  return [...others.map(({ id, status }) => `order ${id} is ${status}`), ...(await audit(stack(), orders))];
}

test('orders handed in by the queue are carried to their end, once for each key, whichever way it comes again', async () => {
  const before = await ordersInAll();
  const byHttp = newKey();
  const known = await stack().submitOne(byHttp);
  const messages = [...Array.from({ length: 10 }, () => orderMessage()), orderMessage({ key: byHttp })];
  const keys = messages.map(({ key }) => key);
  await sendAll(messages);
  await heardOf(messages, ['order message: accepted']);
  const ids = await idsOf(keys);
  expect(ids).toHaveLength(keys.length);
  expect(ids).toContain(known);
  const [key = ''] = keys;
  const renamed = orderMessage({ key, messageId: newKey() });
  await sendAll([...messages, renamed]);
  await heardOf(messages, ['order message: accepted', 'order message: done before']);
  await heardOf([renamed], ['order message: accepted']);
  const replayed = await stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': key });
  expect(replayed).toMatchObject({ status: 202, json: { id: (await idsOf([key]))[0] } });
  expect(replayed.headers.get('idempotent-replayed')).toBe('true');
  expect(await ordersInAll()).toBe(before + keys.length);
  expect(await wrongWith(ids)).toEqual([]);
});

test('the program that the page shows hands in an order', async () => {
  await stack().article('TEAPOT');
  const page = await readFile(join(root, 'docs/rabbitmq.md'), 'utf8');
  const [, program = ''] = /^```js\n(.*?)^```/ms.exec(page) ?? [];
  const environment = { cwd: root, env: { AMQP_URL: rabbit.url }, timeout: 30_000 };
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], environment);
  expect(await wrongWith(await accepted(['shop-1001']))).toEqual([]);
});

test('an exchange gets every event once, in the sequence of its order, as it is stored', async () => {
  const exchange = 'shop.events';
  await bind(rabbit.url, exchange);
  const id = await exchangeConsumer(exchange);
  const messages = Array.from({ length: 8 }, () => orderMessage());
  await sendAll(messages);
  const ids = await accepted(messages.map(({ key }) => key));
  ids.push(await stack().submitOne(newKey(), { payment: { token: 'tok_declined' } }));
  await stack().ended(ids);
  await settled(stack(), [id]);

  const got = await drain(rabbit.url, exchange);
  const events = await storedEvents(ids);
  expect(got).toHaveLength(events.length);
  for (const { content, fields, properties } of got) {
    const body = content.toString();
    const { id: eventId, type } = JSON.parse(body) as { id: string; type: string };
    expect(body).toBe(events.find((event) => event.id === eventId)?.body);
    expect(validateEvent(JSON.parse(body))).toEqual([]);
    expect(fields).toMatchObject({ exchange, routingKey: type });
    expect(properties).toMatchObject({ messageId: eventId, type, deliveryMode: 2 });
  }
  expectAll(receiptsOf(got), events);
});

test('events for an exchange without a queue are held, and all arrive once one is bound', async () => {
  const exchange = 'shop.later';
  const id = await exchangeConsumer(exchange);
  const ids = await stack().submit(6);
  await mode(id, 'probing');
  await stack().ended(ids);
  const events = await storedEvents(ids);
  expect(await healthOf(id)).toMatchObject({ state: 'enabled', health: { backlog: events.length, deadLetters: 0 } });
  const failures = await stack().sql<{ cause: string }>(
    'select distinct a.cause from attempts a join deliveries d on d.id = a.delivery_id where d.consumer_id = $1',
    [id],
  );
  expect(failures).toEqual([{ cause: 'unroutable' }]);

  await bind(rabbit.url, exchange);
  await settled(stack(), [id]);
  expectAll(receiptsOf(await drain(rabbit.url, exchange)), events);
  await mode(id, 'normal');
  expect(await healthOf(id)).toMatchObject({ health: { backlog: 0, deadLetters: 0 } });
});

test('a poison message has its attempts, one of them cut off, while others flow, and is an order once its cause is mended', async () => {
  const poison = orderMessage({ body: JSON.stringify(newOrder({ items: [{ sku: 'LATECOMER', quantity: 1 }] })) });
  const inbox = async () => {
    const [row] = await stack().sql<{ attempts: number; parked: Date | null }>(
      'select attempts, parked_at as parked from inbox where message_id = $1',
      [poison.messageId],
    );
    return row;
  };
  const blocker = new Client({ connectionString: stack().databaseUrl });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  // Holds the first attempt up after it was counted and before it comes to anything.
  await blocker.query('BEGIN; LOCK TABLE catalog IN ACCESS EXCLUSIVE MODE');
  await handIn(rabbit.url, poison);
  await waitFor('the first attempt is under way', async () => (await inbox())?.attempts === 1);
  await stack().api.end('SIGKILL');
  await blocker.query('ROLLBACK');
  const others = Array.from({ length: 10 }, () => orderMessage());
  await sendAll(others);
  await stack().startApi();

  const ids = await accepted(others.map(({ key }) => key));
  const parked = await waitFor('it is parked', async () => (await inbox())?.parked ?? undefined, undefined, inbox);
  const [last] = await stack().sql<{ at: Date }>('select max(created_at) as at from orders where id = any($1)', [ids]);
  expect(last?.at.getTime()).toBeLessThan(parked.getTime());
  expect((await inbox())?.attempts).toBe(1 + maxRetries);
  // The one that was cut off said nothing.
  await heardOf([poison], ['order message: failed; it comes again', 'order message: parked among the dead letters']);
  // It is looked at and put back, as a person would.
  const dead = await onBroker(rabbit.url, async (channel) => {
    const found = await waitFor('it is a dead letter', () => channel.get(DEAD));
    expect(await channel.checkQueue(DEAD)).toMatchObject({ messageCount: 0 });
    channel.nack(found);
    return found;
  });
  expect(dead.content.toString()).toBe(poison.body);
  expect(dead.properties.headers).toMatchObject({
    'idempotency-key': poison.key,
    'x-evenkeel-attempts': 1 + maxRetries,
    'x-evenkeel-error': expect.stringContaining("There is no SKU 'LATECOMER'") as string,
  });
  expect(await idsOf([poison.key])).toEqual([]);

  await stack().article('LATECOMER');
  const replay = stack().program(['replay-orders']);
  await replay.start('1 order is on its way again');
  expect(await replay.exited()).toBe(0);
  expect(await wrongWith([...ids, ...(await accepted([poison.key]))])).toEqual([]);
  expect(await drain(rabbit.url, DEAD)).toEqual([]);
});

test('a broker that is killed under load loses no order and no event, and doubles no order', async () => {
  const exchange = 'shop.steady';
  await bind(rabbit.url, exchange);
  const id = await exchangeConsumer(exchange);
  const before = await ordersInAll();
  const messages = Array.from({ length: 40 }, () => orderMessage());
  const keys = messages.map(({ key }) => key);
  // Each sender hands in its next order when the last one is accepted, so that some are always on their way.
  const byQueue = pooled(messages, 6, async (one) => {
    await handIn(rabbit.url, one);
    await accepted([one.key]);
  });
  const byHttp = stack().submit(20);
  // Whether or not the broker has confirmed it.
  const isSent = `(status = 'delivered' or token is not null)`;
  const look = () => stack().sql(`select 1 from deliveries where consumer_id = $1 and ${isSent}`, [id]);
  const sent = async () => (await look()).length;
  await waitFor('both flow', async () => (await idsOf(keys)).length >= 12 && (await sent()) >= 20);
  // It takes in what is sent to it now, confirms none of it, and dies with it.
  rabbit.freeze();
  const sentBefore = await sent();
  expect((await idsOf(keys)).length).toBeLessThan(keys.length);
  // Orders are taken over HTTP all the same.
  const meanwhile = await stack().submit(10);
  await waitFor('more events are sent', async () => (await sent()) >= sentBefore + 5);
  await rabbit.kill();
  await mode(id, 'probing');
  expect(await stack().request('GET', '/readyz')).toMatchObject({ status: 200, json: { status: 'degraded' } });
  await rabbit.start();
  await byQueue;
  const ids = [...(await accepted(keys)), ...(await byHttp), ...meanwhile];
  expect(await wrongWith(ids)).toEqual([]);
  expect(await ordersInAll()).toBe(before + ids.length);
  expect(await drain(rabbit.url, DEAD)).toEqual([]);
  await settled(stack(), [id], 120_000);
  const receipts = receiptsOf(await drain(rabbit.url, exchange));
  expectAll(receipts, await storedEvents(ids));
  expect(await auditEvents(id, receipts)).toContain('nothing is missing, nothing is one too many');
});

/** What `evenkeel audit events` says of these receipts. */
async function auditEvents(consumerId: string, receipts: readonly QueueReceipt[]): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-receipts-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'receipts.ndjson');
  await writeFile(file, receipts.map((receipt) => `${JSON.stringify(receipt)}\n`).join(''));
  const program = stack().program(['audit', 'events', '--receipts', file, '--consumer', consumerId]);
  await program.start();
  await waitFor('the audit ends', () => program.stdout.some((line) => /nothing is missing|findings/.test(line)));
  return program.stdout;
}
