import { randomUUID } from 'node:crypto';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Broker, connectBroker } from '../../src/adapters/amqp/broker.ts';
import { amqpPublisher } from '../../src/adapters/amqp/publisher.ts';
import type { Destination, EventSender, OutgoingEvent } from '../../src/domain/delivery-ports.ts';
import { type TestBroker, startBroker } from '../support/rabbitmq.ts';
import { waitFor } from '../support/wait.ts';

/** Events on an exchange of a real RabbitMQ: when one counts as delivered, and what else becomes of it. */
let rabbit: TestBroker;
let admin: ChannelModel;
let channel: Channel;
let broker: Broker;
let sender: EventSender;
const reports: string[] = [];

beforeAll(async () => {
  rabbit = await startBroker();
});
afterAll(async () => {
  await rabbit.stop();
});
beforeEach(async () => {
  await reach();
  broker = connectBroker(rabbit.url, { report: (line) => reports.push(line) });
  sender = amqpPublisher(broker, { timeoutMs: 20_000 });
});
afterEach(async () => {
  await sender.close();
  await broker.close();
  await admin.close().catch(() => undefined);
});

/** The tests' own connection, which dies with the broker. */
async function reach(): Promise<void> {
  admin = await connect(rabbit.url);
  admin.on('error', () => undefined);
  channel = await admin.createChannel();
  channel.on('error', () => undefined);
}

const attempt = { signal: new AbortController().signal };

function event(sequence = 1): OutgoingEvent {
  const eventId = randomUUID();
  const body = {
    specversion: '1.0',
    id: eventId,
    time: '2026-01-02T03:04:05.678Z',
    sequence,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  };
  return { eventId, type: 'evenkeel.order.confirmed.v1', body: JSON.stringify(body) };
}

function to(exchange: string, routingKey: string | null = null): Destination {
  return { consumerId: 'c1', target: { kind: 'amqp', exchange, routingKey }, secrets: [] };
}

/** A queue that gets all of an exchange. */
async function queueOn(exchange: string, options: Record<string, unknown> = {}): Promise<string> {
  await channel.assertExchange(exchange, 'topic', { durable: true });
  const queue = `q-${randomUUID()}`;
  await channel.assertQueue(queue, { durable: true, ...options });
  await channel.bindQueue(queue, exchange, '#');
  return queue;
}

const newExchange = (): string => `x-${randomUUID()}`;

test('an event that a queue has taken is delivered, bytes and properties as promised', async () => {
  const exchange = newExchange();
  const queue = await queueOn(exchange);
  const sent = event();
  expect(await sender.send(sent, to(exchange), attempt)).toMatchObject({ outcome: 'delivered', cause: null });
  const got = await channel.get(queue, { noAck: true });
  if (got === false) throw new Error('the queue is empty');
  expect(got.content.toString()).toBe(sent.body);
  expect(got.fields.routingKey).toBe(sent.type);
  expect(got.properties).toMatchObject({
    messageId: sent.eventId,
    type: sent.type,
    contentType: 'application/cloudevents+json',
    deliveryMode: 2,
    timestamp: Math.floor(Date.UTC(2026, 0, 2, 3, 4, 5) / 1000),
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  });
});

test('the trace context of the attempt goes before that of the event, which stays in the body', async () => {
  const exchange = newExchange();
  const queue = await queueOn(exchange);
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const traced = amqpPublisher(broker, { timeoutMs: 20_000, traceparent: () => traceparent });
  const sent = event();
  await traced.send(sent, to(exchange), attempt);
  await traced.close();
  const got = await channel.get(queue, { noAck: true });
  if (got === false) throw new Error('the queue is empty');
  expect(got.properties.headers).toMatchObject({ traceparent });
  expect(got.content.toString()).toBe(sent.body);
});

test('a routing key of the consumer is used instead of the type', async () => {
  const exchange = newExchange();
  const queue = await queueOn(exchange);
  await sender.send(event(), to(exchange, 'shop.orders'), attempt);
  const got = await channel.get(queue, { noAck: true });
  expect(got).toMatchObject({ fields: { routingKey: 'shop.orders' } });
});

test('an event that no queue wants is not delivered, and one that is wanted beside it is', async () => {
  const exchange = newExchange();
  await channel.assertExchange(exchange, 'topic', { durable: true });
  const queue = await channel.assertQueue(`q-${randomUUID()}`, { durable: true });
  await channel.bindQueue(queue.queue, exchange, 'wanted');
  const same = event();
  const results = await Promise.all(
    ['unwanted', 'wanted', 'unwanted', 'wanted'].map((key) => sender.send(same, to(exchange, key), attempt)),
  );
  expect(results.map(({ outcome, cause }) => cause ?? outcome)).toEqual([
    'unroutable',
    'delivered',
    'unroutable',
    'delivered',
  ]);
  expect(results[0]?.error).toContain('NO_ROUTE');
});

test('a queue that is full and refuses makes a failure, not a delivery', async () => {
  const exchange = newExchange();
  await queueOn(exchange, { maxLength: 1, overflow: 'reject-publish' });
  const results = [];
  for (let n = 0; n < 3; n += 1) results.push(await sender.send(event(n), to(exchange), attempt));
  expect(results.map(({ outcome, cause }) => cause ?? outcome)).toEqual([
    'delivered',
    'broker_refused',
    'broker_refused',
  ]);
});

test('an exchange of another type is refused in the words of the broker, and no other suffers', async () => {
  const [wrong, right] = [newExchange(), newExchange()];
  await channel.assertExchange(wrong, 'fanout', { durable: true });
  await queueOn(right);
  const send = (exchange: string) => sender.send(event(), to(exchange), attempt);
  const results = await Promise.all([wrong, right, wrong, right].map(send));
  expect(results.map(({ outcome, cause }) => cause ?? outcome)).toEqual([
    'broker_refused',
    'delivered',
    'broker_refused',
    'delivered',
  ]);
  expect(results[0]?.error).toMatch(/PRECONDITION.FAILED.*inequivalent arg 'type'/);
  expect(await send(right)).toMatchObject({ outcome: 'delivered' });
});

test('an exchange that was deleted meanwhile is declared again for the attempt after', async () => {
  const exchange = newExchange();
  await queueOn(exchange);
  expect(await sender.send(event(), to(exchange), attempt)).toMatchObject({ outcome: 'delivered' });
  await channel.deleteExchange(exchange);
  expect(await sender.send(event(), to(exchange), attempt)).toMatchObject({ cause: 'broker_refused' });
  await queueOn(exchange);
  expect(await sender.send(event(), to(exchange), attempt)).toMatchObject({ outcome: 'delivered' });
});

test('an event over which the broker closes the channel fails alone: those under way with it are delivered', async () => {
  const exchange = newExchange();
  const queue = await queueOn(exchange);
  expect(await sender.send(event(), to(exchange), attempt)).toMatchObject({ outcome: 'delivered' });
  // RabbitMQ takes none over 128 MiB before 4.0, and none over 16 MiB since.
  const huge = { ...event(), body: JSON.stringify({ data: 'x'.repeat(129 * 1024 * 1024) }) };
  const innocent = Array.from({ length: 10 }, (_, n) => event(n));
  const sent = [...innocent.slice(0, 5), huge, ...innocent.slice(5)];
  const results = await Promise.all(sent.map((one) => sender.send(one, to(exchange), attempt)));
  expect(results.map(({ outcome, cause }) => cause ?? outcome)).toEqual(
    sent.map((one) => (one === huge ? 'broker_refused' : 'delivered')),
  );
  expect(results[5]?.error).toMatch(/PRECONDITION.FAILED.*size/);
  expect((await channel.checkQueue(queue)).messageCount).toBeGreaterThanOrEqual(11);
});

test('what cannot be written in the form of the protocol is refused', async () => {
  const exchange = newExchange();
  await queueOn(exchange);
  const result = await sender.send(event(), to(exchange, 'k'.repeat(300)), attempt);
  expect(result).toMatchObject({ outcome: 'failed', cause: 'broker_refused' });
  expect(await sender.send(event(), to(exchange), attempt)).toMatchObject({ outcome: 'delivered' });
});

test('without a broker every attempt fails, and says which setting is missing', async () => {
  const nobody = amqpPublisher(undefined, { timeoutMs: 1_000 });
  const result = await nobody.send(event(), to('x'), attempt);
  expect(result).toMatchObject({ outcome: 'failed', cause: 'broker_unavailable' });
  expect(result.error).toContain('AMQP_URL');
  await nobody.close();
});

test('where nothing listens the attempt fails at once as unavailable, and readiness says so', async () => {
  const away = connectBroker('amqp://guest:secret@127.0.0.1:1');
  const other = amqpPublisher(away, { timeoutMs: 20_000 });
  const result = await other.send(event(), to('x'), attempt);
  expect(result).toMatchObject({ outcome: 'failed', cause: 'broker_unavailable' });
  expect(result.error).toContain('127.0.0.1:1');
  expect(result.error).not.toContain('secret');
  await expect(away.check()).rejects.toThrow('ECONNREFUSED');
  await away.close();
});

test('a broker that hangs makes a time-out, and is closed all the same', async () => {
  const exchange = newExchange();
  await queueOn(exchange);
  const hasty = amqpPublisher(broker, { timeoutMs: 300 });
  expect(await hasty.send(event(), to(exchange), attempt)).toMatchObject({ outcome: 'delivered' });
  rabbit.freeze();
  try {
    expect(await hasty.send(event(), to(exchange), attempt)).toMatchObject({ cause: 'timeout' });
    await hasty.close();
    await broker.close();
  } finally {
    rabbit.thaw();
  }
  expect(await hasty.send(event(), to(exchange), attempt)).toMatchObject({ cause: 'broker_unavailable' });
});

test('no event that was reported as delivered is lost when the broker is killed, and publishing goes on after', async () => {
  const exchange = newExchange();
  const queue = await queueOn(exchange);
  const delivered = new Set<string>();
  const causes = new Set<string>();
  const over = new AbortController();
  const lane = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const sent = event();
      const { outcome, cause } = await sender.send(sent, to(exchange), attempt);
      if (outcome === 'delivered') delivered.add(sent.eventId);
      else if (cause !== null) causes.add(cause);
      // As the relay does: no tight loop over what fails.
      if (outcome === 'failed') await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const lanes = Array.from({ length: 20 }, lane);
  await waitFor('some are delivered', () => delivered.size > 200);
  await rabbit.kill();
  await waitFor('some fail', () => causes.size > 0);
  const before = delivered.size;
  await expect(broker.check()).rejects.toThrow('RabbitMQ at');
  await rabbit.start();
  await waitFor('some are delivered again', () => delivered.size > before + 200);
  over.abort();
  await Promise.all(lanes);
  expect([...causes]).toEqual(['broker_unavailable']);
  await broker.check();

  await reach();
  const there = new Set<unknown>();
  for (;;) {
    const got = await channel.get(queue, { noAck: true });
    if (got === false) break;
    there.add(got.properties.messageId);
  }
  expect([...delivered].filter((id) => !there.has(id))).toEqual([]);
  expect(reports.join('\n')).toContain('the connection to RabbitMQ broke');
});
