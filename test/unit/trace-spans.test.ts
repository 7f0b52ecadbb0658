/** What decorators and observers make spans of, and what they send along. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { httpCarrier } from '../../src/adapters/http/carrier.ts';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { httpWebhooks } from '../../src/adapters/http/webhooks.ts';
import type { OrderQueue, QueuedOrder } from '../../src/domain/message-ports.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { tracedOrderQueue, tracedSender } from '../../src/telemetry/delivery-spans.ts';
import { tracedCarrier, tracedGateway } from '../../src/telemetry/provider-spans.ts';
import type { Tracing } from '../../src/telemetry/spans.ts';
import { storeSpans, summarize } from '../../src/telemetry/store-spans.ts';
import { currentTraceparent, newTraceparent, parseTraceparent } from '../../src/telemetry/trace-context.ts';
import { startTracing } from '../../src/telemetry/tracing.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { newEvent, receiver as webhookReceiver, to } from '../support/webhook-receiver.ts';
import { fakes, orderId, serve } from './api-fakes.ts';

let otlp: OtlpReceiver;
let tracing: Tracing;

beforeEach(async () => {
  otlp = await startOtlpReceiver();
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  tracing = startTracing({ endpoint: otlp.endpoint, ratio: 1, service: 'test', version: '0', log });
});
afterEach(async () => {
  await tracing.stop();
  await otlp.close();
});

async function recorded(): Promise<ReceivedSpan[]> {
  await tracing.stop();
  return otlp.spans.toSorted((one, other) => Number(one.startedAt - other.startedAt));
}

const never = { signal: new AbortController().signal };
const current = { traceparent: currentTraceparent };
const spanIdOf = (traceparent: unknown): string | undefined =>
  typeof traceparent === 'string' ? parseTraceparent(traceparent)?.spanId : undefined;

describe('a statement', () => {
  test.each([
    ['select * from orders where id = $1 for update', 'SELECT orders', 'orders'],
    ['select 1', 'SELECT', undefined],
    ['insert into "steps" ("key") values ($1)', 'INSERT steps', 'steps'],
    ['update "orders" set x = $1', 'UPDATE orders', 'orders'],
    ['delete from idempotency_answers where at < $1', 'DELETE idempotency_answers', 'idempotency_answers'],
    ['with changed as (\n update orders set x = $1 returning *) select * from changed', 'UPDATE orders', 'orders'],
    ['with held as (select 1 from stock for update of stock) update stock set x = $1', 'UPDATE stock', 'stock'],
    [
      'with due as (select * from deliveries for no key update skip locked) select * from due',
      'SELECT deliveries',
      'deliveries',
    ],
    ['commit', 'COMMIT', undefined],
  ])('%s is called %s', (sql, name, table) => {
    expect(summarize(sql)).toMatchObject({ name, table });
  });

  test('within a trace is told of with its text, outside of any it is not', async () => {
    const { statement } = storeSpans(tracing);
    statement({ sql: 'select 1', durationMs: 1, failed: false });
    await tracing.span('around', {}, async () => {
      statement({ sql: 'begin', durationMs: 1, failed: false });
      statement({ sql: 'update orders\n  set x = $1', durationMs: 3, failed: true });
    });
    const [around, update, ...others] = (await recorded()).toSorted((one, other) => one.name.localeCompare(other.name));
    expect(others).toEqual([]);
    expect(update).toMatchObject({
      name: 'UPDATE orders',
      kind: 'CLIENT',
      parentId: around?.spanId,
      status: { code: 'error' },
      attributes: {
        'db.system.name': 'postgresql',
        'db.operation.name': 'UPDATE',
        'db.collection.name': 'orders',
        'db.query.text': 'update orders set x = $1',
        'error.type': '_OTHER',
      },
    });
  });
});

/** A provider that answers everything with `body`. */
async function provider(body: unknown): Promise<{ url: string; headers: Record<string, unknown>[] }> {
  const headers: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    headers.push(request.headers);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, headers };
}

describe('a provider', () => {
  const key = `order-${orderId}:authorize:1`;
  const request = { orderId, amountMinor: 1, currency: 'GBP', token: 'tok_visa' };

  test('gets the context of the call itself, which says how the business answered', async () => {
    const { url, headers } = await provider({ outcome: 'declined', reason: 'no money' });
    const gateway = tracedGateway(httpPaymentGateway(url, current), tracing);
    onTestFinished(() => gateway.close());
    await tracing.span('step', {}, () => gateway.authorize(key, request, never));
    const [step, call] = await recorded();
    expect(call).toMatchObject({
      name: 'payment authorize',
      kind: 'CLIENT',
      parentId: step?.spanId,
      status: { code: 'unset' },
      attributes: {
        'evenkeel.provider': 'payment',
        'evenkeel.order.id': orderId,
        'evenkeel.step.key': key,
        'evenkeel.outcome': 'declined',
      },
    });
    expect(headers.map(({ traceparent }) => spanIdOf(traceparent))).toEqual([call?.spanId]);
  });

  test('whose answer is none leaves the code of the failure', async () => {
    const { url } = await provider('what?');
    const carrier = tracedCarrier(httpCarrier(url, current), tracing);
    onTestFinished(() => carrier.close());
    await expect(carrier.cancel(key, { shipmentId: 's1' }, never)).rejects.toThrow(DomainFailure);
    expect((await recorded())[0]).toMatchObject({
      name: 'carrier cancel',
      attributes: { 'error.type': 'provider_rejected' },
    });
  });

  test('gets none where nobody traces', async () => {
    const { url, headers } = await provider({ outcome: 'voided' });
    const gateway = httpPaymentGateway(url);
    onTestFinished(() => gateway.close());
    await gateway.void(key, { orderId, amountMinor: 1, currency: 'GBP', authorizationId: 'a1' }, never);
    expect(headers[0]).not.toHaveProperty('traceparent');
  });
});

describe('a delivery', () => {
  test('is below the change that wrote the event, whatever its relay does, and its consumer gets its context', async () => {
    const { url, received } = await webhookReceiver((_, response) => response.writeHead(500).end());
    const webhooks = httpWebhooks({ timeoutMs: 5_000, networks: ['127.0.0.0/8'], ...current });
    const sender = tracedSender(webhooks, tracing);
    onTestFinished(() => sender.close());
    const traceparent = newTraceparent();
    const event = newEvent({ traceparent, correlationid: orderId });
    const destination = to(url);
    await tracing.span('relay', {}, () => sender.send(event, destination, never));
    const span = (await recorded()).find(({ name }) => name === `deliver ${event.type}`);
    const { traceId, spanId } = parseTraceparent(traceparent) ?? {};
    expect(span).toMatchObject({
      traceId,
      parentId: spanId,
      kind: 'CLIENT',
      status: { code: 'error', message: 'http_500' },
      attributes: {
        'evenkeel.order.id': orderId,
        'evenkeel.event.id': event.eventId,
        'evenkeel.consumer.id': destination.consumerId,
        'http.response.status_code': 500,
        'server.address': '127.0.0.1',
      },
    });
    expect(received.map(({ headers }) => spanIdOf(headers['traceparent']))).toEqual([span?.spanId]);
    expect(received[0]?.body.toString()).toBe(event.body);
    // Path and query may be the consumer's secret.
    expect(otlp.bodies.some((body) => body.includes('hidden'))).toBe(false);
  });

  test('over AMQP says which exchange and routing key', async () => {
    const send = async () => ({
      ...({
        outcome: 'failed',
        cause: 'unroutable',
        status: null,
        answer: null,
        error: null,
        retryAfterMs: null,
      } as const),
      startedAt: new Date(),
      durationMs: 1,
    });
    const sender = tracedSender({ send, close: async () => undefined }, tracing);
    const target = { kind: 'amqp', exchange: 'shop', routingKey: null } as const;
    await sender.send(newEvent(), { consumerId: 'c1', target, secrets: [] }, never);
    expect((await recorded())[0]).toMatchObject({
      kind: 'PRODUCER',
      attributes: {
        'messaging.system': 'rabbitmq',
        'messaging.destination.name': 'shop',
        'messaging.rabbitmq.destination.routing_key': 'evenkeel.order.confirmed.v1',
        'error.type': 'unroutable',
      },
    });
  });
});

test("an order message begins a trace, linked to its sender's if that can be read", async () => {
  const outside = newTraceparent();
  const seen: (string | undefined)[] = [];
  const queue: OrderQueue = {
    async consume(_, handle) {
      for (const traceparent of [outside, 'garbage', undefined]) await handle({ traceparent } as QueuedOrder);
    },
  };
  const take = async (): Promise<void> => void seen.push(currentTraceparent());
  await tracedOrderQueue(queue, tracing).consume(1, take, never.signal);
  const spans = await recorded();
  const { traceId, spanId } = parseTraceparent(outside) ?? {};
  expect(spans.map(({ kind, links, parentId }) => [kind, parentId, links])).toEqual([
    ['CONSUMER', undefined, [{ traceId, spanId }]],
    ['CONSUMER', undefined, []],
    ['CONSUMER', undefined, []],
  ]);
  expect(seen.map(spanIdOf)).toEqual(spans.map((span) => span.spanId));
});

describe('a request', () => {
  const answered = (spans: readonly ReceivedSpan[]) =>
    spans.map(({ attributes, kind, name, parentId, status }) => [
      name,
      kind,
      parentId,
      attributes['http.response.status_code'],
      status.code,
    ]);

  test('is named by its route, and failed if we did', async () => {
    const deps = { ...fakes(), tracing };
    const send = await serve(deps);
    await send('GET', `/v1/orders/${orderId}?wait=confirmed`);
    await send('GET', '/v1/nothing/of-ours');
    deps.views.list = () => Promise.reject(new Error('the disk is full'));
    await send('GET', '/v1/orders?customerId=ada');
    await send('GET', '/livez');
    await send('GET', '/readyz');
    const spans = await recorded();
    expect(answered(spans)).toEqual([
      ['GET /v1/orders/{id}', 'SERVER', undefined, 200, 'unset'],
      ['GET (none)', 'SERVER', undefined, 404, 'unset'],
      ['GET /v1/orders', 'SERVER', undefined, 500, 'error'],
    ]);
    expect(spans[0]?.attributes).toMatchObject({ 'http.route': '/v1/orders/{id}', 'evenkeel.order.id': orderId });
    for (const word of ['ada', 'of-ours', 'disk']) {
      expect([word, otlp.bodies.some((body) => body.includes(word))]).toEqual([word, false]);
    }
  });

  test('has the id in the log by which its trace is found', async () => {
    const deps = { ...fakes(), tracing };
    const send = await serve(deps);
    let within: string | undefined;
    deps.views.find = async () => {
      within = currentTraceparent();
      return undefined;
    };
    await send('GET', `/v1/orders/${orderId}`);
    const [span] = await recorded();
    expect(parseTraceparent(within ?? '')).toMatchObject({ traceId: span?.traceId, spanId: span?.spanId });
  });
});
