import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { type Channel, type ChannelModel, type ConfirmChannel, type GetMessage, connect } from 'amqplib';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Broker, connectBroker } from '../../src/adapters/amqp/broker.ts';
import { amqpOrderQueue } from '../../src/adapters/amqp/order-queue.ts';
import { postgresMessageInbox } from '../../src/adapters/postgres/message-inbox.ts';
import { run as replayOrders } from '../../src/commands/replay-orders.ts';
import { runOrderIntake } from '../../src/delivery/order-intake.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { MessageInbox } from '../../src/domain/message-ports.ts';
import type { Intake, NewOrder } from '../../src/domain/order-ports.ts';
import { intakeDeps } from '../support/memory-orders-queue.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type TestBroker, startBroker } from '../support/rabbitmq.ts';
import { address, shopOf } from '../support/store-conformance/shop.ts';
import { pooled, waitFor } from '../support/wait.ts';

/** Orders that come in through a real RabbitMQ and lie in a real PostgreSQL: none lost and none twice, whatever dies. */
const SUBMIT = 'evenkeel.orders.submit';
const DEAD = 'evenkeel.orders.dead';
const maxRetries = 2;

let rabbit: TestBroker;
let made: Awaited<ReturnType<typeof newPostgresStores>>;
let sql: Client;
let sku: string;
let admin: ChannelModel;
let channel: Channel;

beforeAll(async () => {
  [rabbit, made] = await Promise.all([startBroker(), newPostgresStores()]);
  sql = new Client({ connectionString: made.url });
  await sql.connect();
  sku = await shopOf(made.stores).sku();
});
afterAll(async () => {
  await sql.end();
  await made.stop();
  await rabbit.stop();
});
beforeEach(reach);
afterEach(async () => {
  for (const stop of running.splice(0).toReversed()) await stop();
  for (const queue of [SUBMIT, DEAD]) await channel.purgeQueue(queue);
  await admin.close();
});

const running: (() => Promise<void>)[] = [];

/** The tests' own connection, which dies with the broker. */
async function reach(): Promise<void> {
  admin = await connect(rabbit.url);
  admin.on('error', () => undefined);
  channel = await admin.createChannel();
  channel.on('error', () => undefined);
}

interface Intaking {
  readonly lines: readonly string[];
  /** What its adapters told. */
  readonly reports: readonly string[];
  /** Ends it as a stop of the process does. */
  stop(): Promise<void>;
  /** Cuts its connection off, as the end of its process would. */
  drop(): Promise<void>;
}

/** An API process's intake, over a connection of its own. */
function startIntake(changes: { inbox?: MessageInbox; intake?: Intake; prefetch?: number } = {}): Intaking {
  const signal = new AbortController();
  const reports: string[] = [];
  const report = (line: string): void => void reports.push(line);
  const broker: Broker = connectBroker(rabbit.url, { report });
  const inbox = changes.inbox ?? postgresMessageInbox(made.db);
  const queue = amqpOrderQueue(broker, { report, retryDelaysMs: [50, 100] });
  const { deps, lines } = intakeDeps(queue, inbox, {});
  const intake = changes.intake ?? made.stores.intake;
  const ended = runOrderIntake(
    {
      ...deps,
      intake,
      parseOrder,
      idempotencyOf: (key, order) => ({ caller: 'default', key, bodyHash: JSON.stringify(order) }),
    },
    { maxRetries, prefetch: changes.prefetch ?? 10 },
    signal.signal,
  );
  const stop = async (): Promise<void> => {
    signal.abort();
    await ended;
    await broker.close();
  };
  running.push(stop);
  return {
    lines,
    reports,
    stop,
    drop: async () => {
      running.splice(running.indexOf(stop), 1);
      await broker.close();
    },
  };
}

function parseOrder(body: Uint8Array): NewOrder {
  try {
    return JSON.parse(Buffer.from(body).toString()) as NewOrder;
  } catch (error) {
    throw new DomainFailure('invalid_input', 'the body is no JSON', { cause: error });
  }
}

const orderOf = (of: string): string =>
  JSON.stringify({
    customerId: 'ada',
    currency: 'GBP',
    items: [{ sku: of, quantity: 1 }],
    payment: { token: 'tok_visa' },
    shippingAddress: address,
  } satisfies NewOrder);

interface Submission {
  readonly key: string;
  readonly messageId?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
}

const submission = (changes: Partial<Submission> = {}): Submission => ({ key: `k-${randomUUID()}`, ...changes });

/** Sends one as a good client does: as persistent, and until it is confirmed. */
function submit(on: ConfirmChannel, { key, messageId = key, body = orderOf(sku), headers = {} }: Submission) {
  return new Promise<void>((resolve, reject) => {
    const options = { messageId, persistent: true, headers: { 'idempotency-key': key, ...headers } };
    on.sendToQueue(SUBMIT, Buffer.from(body), options, (error: unknown) =>
      error === null ? resolve() : reject(error),
    );
  });
}

async function submitAll(submissions: readonly Submission[]): Promise<void> {
  await channel.assertQueue(SUBMIT, { durable: true });
  const confirms = await admin.createConfirmChannel();
  await Promise.all(submissions.map((one) => submit(confirms, one)));
  await confirms.close();
}

const orders = async (keys: readonly string[]): Promise<number> =>
  (await sql.query('select 1 from orders where idempotency_key = any($1)', [keys])).rows.length;

const accepted = (submissions: readonly Submission[], deadlineMs?: number) => {
  const keys = submissions.map(({ key }) => key);
  return waitFor(
    `${keys.length} orders`,
    async () => (await orders(keys)) === keys.length,
    deadlineMs,
    () => orders(keys),
  );
};

async function attemptsOf({ key, messageId = key }: Submission): Promise<number | undefined> {
  const { rows } = await sql.query<{ attempts: number }>(
    "select attempts from inbox where channel = 'amqp' and message_id = $1",
    [messageId],
  );
  return rows[0]?.attempts;
}

const count = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount;

async function takeDead(): Promise<GetMessage> {
  const found = await waitFor('there is a dead letter', () => channel.get(DEAD, { noAck: true }));
  return found;
}

test('orders from the queue are accepted once each, repeats included, under the keys of the API', async () => {
  startIntake();
  const some = Array.from({ length: 30 }, () => submission());
  await submitAll([...some, ...some]);
  await accepted(some);
  await waitFor('the queue is empty', async () => (await count(SUBMIT)) === 0);
  expect(await count(DEAD)).toBe(0);
  const again = await made.stores.intake.accept(
    parseOrder(Buffer.from(orderOf(sku))),
    { caller: 'default', key: some[0]?.key ?? '', bodyHash: orderOf(sku) },
    undefined,
  );
  expect(again.kind).toBe('replayed');
});

test('a poison message has its attempts and lies among the dead letters with its reason, while others flow', async () => {
  startIntake({ prefetch: 1 });
  const poison = submission({
    body: orderOf('no-such-sku'),
    headers: {
      'x-shop': { id: 7, tags: ['a', 'b'] },
      'x-at': { '!': 'timestamp', value: 1_700_000_000 },
    },
  });
  const others = Array.from({ length: 10 }, () => submission());
  await submitAll([poison, ...others]);
  await accepted(others);
  const dead = await takeDead();
  expect(dead.content.toString()).toBe(poison.body);
  expect(dead.fields).toMatchObject({ exchange: DEAD, routingKey: SUBMIT });
  expect(dead.properties).toMatchObject({
    messageId: poison.key,
    deliveryMode: 2,
    headers: {
      'idempotency-key': poison.key,
      'x-shop': { id: 7, tags: ['a', 'b'] },
      'x-at': { '!': 'timestamp', value: 1_700_000_000 },
      'x-evenkeel-attempts': 1 + maxRetries,
      'x-evenkeel-error': expect.stringContaining("There is no SKU 'no-such-sku' in the catalog."),
    },
  });
  expect(await attemptsOf(poison)).toBe(1 + maxRetries);
  expect(await count(DEAD)).toBe(0);
});

test('attempts that nobody heard the end of count, over connections and processes', async () => {
  const victim = submission();
  const { promise: never, reject: release } = Promise.withResolvers<never>();
  let begun = 0;
  const hanging: Intake = {
    accept: () => {
      begun += 1;
      return never;
    },
  };
  await submitAll([victim]);
  for (let n = 1; n <= 1 + maxRetries; n += 1) {
    const intake = startIntake({ intake: hanging });
    await waitFor(`attempt ${n} is under way`, () => begun === n);
    await intake.drop();
  }
  release(new Error('the test is over'));
  startIntake();
  const dead = await takeDead();
  expect(dead.properties.headers).toMatchObject({
    'x-evenkeel-attempts': 1 + maxRetries,
    'x-evenkeel-error': expect.stringContaining('the process died'),
  });
  expect(await attemptsOf(victim)).toBe(1 + maxRetries);
  expect(await orders([victim.key])).toBe(0);
});

test('while the database is away messages stay where they are and nothing is counted', async () => {
  const real = postgresMessageInbox(made.db);
  let isAway = true;
  let asked = 0;
  const unsteady: MessageInbox = {
    ...real,
    begin: (message) => (isAway ? Promise.reject(away()) : real.begin(message)),
    ping: () => {
      asked += 1;
      return isAway ? Promise.reject(away()) : real.ping();
    },
  };
  const some = Array.from({ length: 20 }, () => submission());
  await submitAll(some);
  const intake = startIntake({ inbox: unsteady, prefetch: 5 });
  await waitFor('the database was asked for often', () => asked > 15);
  // Five are held, the others wait in the queue.
  expect(await count(SUBMIT)).toBe(15);
  await intake.stop();
  expect(await count(SUBMIT)).toBe(20);
  startIntake({ inbox: unsteady, prefetch: 5 });
  isAway = false;
  await accepted(some);
  for (const one of some) expect(await attemptsOf(one)).toBe(1);
  expect(await count(DEAD)).toBe(0);
});

test('a dead letter that a person sends again has its attempts anew, and becomes an order once its cause is gone', async () => {
  const late = `late-${randomUUID()}`;
  const victim = submission({ body: orderOf(late) });
  startIntake();
  await submitAll([victim]);
  await waitFor('it is parked', async () => (await count(DEAD)) === 1);
  expect(await replay('--limit', '5')).toBe('1 order is on its way again\n');
  await waitFor('it is parked again', async () => {
    const { rows } = await sql.query(
      'select 1 from inbox where message_id = $1 and round = 1 and parked_at is not null',
      [victim.key],
    );
    return rows.length === 1 && (await count(DEAD)) === 1;
  });
  expect(await attemptsOf(victim)).toBe(1 + maxRetries);
  await made.stores.catalog.put({ sku: late, description: 'at last', priceMinor: 100, currency: 'GBP' });
  expect(await replay()).toBe('1 order is on its way again\n');
  await accepted([victim]);
  expect(await attemptsOf(victim)).toBe(1);
  expect(await replay()).toBe('0 orders are on their way again\n');
});

/** `evenkeel replay-orders`; resolves with what it prints. */
async function replay(...words: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const out = { write: (line: string) => lines.push(line) > 0 } as unknown as NodeJS.WritableStream;
  const { signal } = new AbortController();
  const code = await replayOrders(words, { stdout: out, stderr: out, env: { AMQP_URL: rabbit.url }, signal });
  expect(code).toBe(0);
  return lines.join('');
}

test('a message whose headers cannot be copied is kept without them rather than not at all', async () => {
  startIntake();
  const long = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, 'x'.repeat(21_000)]));
  const victim = submission({ body: 'no order', headers: long });
  await submitAll([victim]);
  const dead = await takeDead();
  expect(dead.properties.headers).toMatchObject({
    'idempotency-key': victim.key,
    'x-evenkeel-attempts': 1 + maxRetries,
  });
});

test.each<[string, Record<string, unknown>, string, string]>([
  ['a key of more than the library can write beside our own headers', { headers: keyed('k'.repeat(65_400)) }, '', ''],
  ['a key that is a table', { headers: keyed({ '\u0002': 'v' }) }, '\u0001\u0002', '\u0001!'],
  ['a time that is not read as what it is', { timestamp: 0x07_7878_7878_7878 }, '\0\u0007xxxxxx', '\u00ff'.repeat(8)],
  ['an id that is no text', { messageId: '~'.repeat(200) }, '~'.repeat(200), '\u00ff'.repeat(200)],
])('a message with %s has its attempts and lies among the dead letters', async (_, options, was, is) => {
  startIntake({ prefetch: 1 });
  await channel.assertQueue(SUBMIT, { durable: true });
  const body = `no order ${randomUUID()}`;
  const rewritten = rewriteNext(admin, was, is);
  channel.sendToQueue(SUBMIT, Buffer.from(body), { messageId: randomUUID(), headers: keyed('k'), ...options });
  const dead = await takeDead();
  expect(rewritten()).toBe(true);
  expect(dead.content.toString()).toBe(body);
  expect(dead.properties.headers).toMatchObject({ 'x-evenkeel-attempts': 1 + maxRetries });
  const { rows } = await sql.query<{ attempts: number }>(
    "select attempts from inbox where last_error is not null and channel = 'amqp' order by tried_at desc limit 1",
  );
  expect(rows).toEqual([{ attempts: 1 + maxRetries }]);
});

function keyed(value: unknown): Readonly<Record<string, unknown>> {
  return { 'idempotency-key': value };
}

test.each([
  ['of a type that the library does not know', { '!': 'long', value: 0x6c6c6c6c6c6c6c6cn }, 'lllllllll', 'Lllllllll'],
  ['that nests by the thousand', nested(5_000), 'x\0\0', 'F\0\0'],
])('a message with a header %s ends like any other, and those behind it become orders', async (_, value, was, is) => {
  const intake = startIntake({ prefetch: 1 });
  const strange = submission({ body: 'no order', headers: { '!!!': value } });
  await channel.assertQueue(SUBMIT, { durable: true });
  const confirms = await admin.createConfirmChannel();
  const rewritten = rewriteNext(admin, `!!!${was}`, `!!!${is}`);
  await submit(confirms, strange);
  await confirms.close();
  const plain = submission();
  await submitAll([plain]);
  await accepted([plain]);
  const dead = await takeDead();
  expect(rewritten()).toBe(true);
  expect(dead.properties.messageId).toBe(strange.key);
  expect(intake.reports.filter((line) => line.includes('broke'))).toEqual([]);
});

/** Has the connection send other bytes in place of the next that are `was`, which its library cannot write; says if it did. */
function rewriteNext({ connection }: ChannelModel, was: string, is: string): () => boolean {
  const { stream } = connection as unknown as { readonly stream: Duplex };
  const write = stream.write.bind(stream) as (bytes: Buffer) => boolean;
  let isDone = false;
  stream.write = (bytes: Buffer) => {
    const at = bytes.indexOf(was);
    if (isDone || at < 0) return write(bytes);
    isDone = true;
    const changed = Buffer.from(bytes);
    changed.write(is, at, 'latin1');
    return write(changed);
  };
  return () => isDone;
}

/** The inside of a table that holds a table that holds a table … */
function nested(depth: number): Buffer {
  const bytes = Buffer.alloc(depth * 6);
  for (let n = 0; n < depth; n += 1) {
    bytes.write('F', n * 6 + 1);
    bytes.writeUInt32BE((depth - n - 1) * 6, n * 6 + 2);
  }
  return bytes;
}

test('a queue that somebody deletes is there again, and orders with it', async () => {
  startIntake();
  const [before, after] = [submission(), submission()];
  await submitAll([before]);
  await accepted([before]);
  await channel.deleteQueue(SUBMIT);
  await waitFor('somebody consumes again', async () => {
    const { consumerCount } = await channel.assertQueue(SUBMIT, { durable: true });
    return consumerCount === 1;
  });
  await submitAll([after]);
  await accepted([after]);
  expect(await orders([before.key, after.key])).toBe(2);
});

test.each([`${SUBMIT}.retry.100`, DEAD])('%s that somebody deletes is there again for the next copy', async (queue) => {
  startIntake({ prefetch: 1 });
  const before = submission();
  await submitAll([before]);
  await accepted([before]);
  await channel.deleteQueue(queue);
  const [poison, after] = [submission({ body: 'no order' }), submission()];
  await submitAll([poison, after]);
  await accepted([after]);
  await waitFor('it is parked', async () => {
    const { rows } = await sql.query('select 1 from inbox where message_id = $1 and parked_at is not null', [
      poison.key,
    ]);
    return rows.length === 1;
  });
  expect((await takeDead()).properties.messageId).toBe(poison.key);
});

test('no order that was confirmed is lost and none is made twice when the broker is killed meanwhile', async () => {
  startIntake();
  startIntake();
  const some = Array.from({ length: 700 }, () => submission());
  const poison = submission({ body: orderOf('no-such-sku') });
  const sending = sendThroughAll([poison, ...some]);
  const keys = some.map(({ key }) => key);
  await waitFor('some are orders', async () => (await orders(keys)) > 100);
  await rabbit.kill();
  const before = await orders(keys);
  expect(before).toBeLessThan(some.length);
  await rabbit.start();
  await sending;
  await accepted(some);
  await reach();
  await waitFor('the queue is empty', async () => (await count(SUBMIT)) === 0);
  await waitFor('the poison is parked', async () => (await count(DEAD)) > 0);
  const { rows } = await sql.query<{ orders: number }>(
    'select count(*)::int as orders from orders where idempotency_key = any($1)',
    [[...keys, poison.key]],
  );
  expect(rows[0]?.orders).toBe(some.length);
  // A copy of it may be on its way still.
  await waitFor('its attempts are counted right', async () => (await attemptsOf(poison)) === 1 + maxRetries);
}, 120_000);

/** Sends all, and again what was not confirmed, over whatever becomes of the broker. */
async function sendThroughAll(submissions: readonly Submission[]): Promise<void> {
  let open: Promise<ConfirmChannel> | undefined;
  const connection = async (): Promise<ConfirmChannel> => {
    const sender = await connect(rabbit.url, { timeout: 5_000 });
    sender.on('error', () => undefined);
    running.push(() => sender.close().catch(() => undefined));
    const confirms = await sender.createConfirmChannel();
    confirms.on('error', () => undefined);
    await confirms.assertQueue(SUBMIT, { durable: true });
    return confirms;
  };
  await pooled(submissions, 40, (one) =>
    waitFor(`${one.key} is confirmed`, async () => {
      const mine = (open ??= connection());
      try {
        await submit(await mine, one);
        return true;
      } catch {
        if (open === mine) open = undefined;
        return false;
      }
    }),
  );
}

function away(): DomainFailure {
  return new DomainFailure('store_unavailable', 'the database is away');
}
