/** The traces of real orders, over real processes, as a real OTLP receiver gets them. */
import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { type SpanType, commonAttributes, spanTypes } from '../../src/telemetry/span-names.ts';
import { newTraceparent, parseTraceparent } from '../../src/telemetry/trace-context.ts';
import { consumerOf, deleteConsumers, settled } from '../support/deliveries.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { traceText } from '../support/trace-text.ts';
import { waitFor } from '../support/wait.ts';

let receiver: OtlpReceiver;
const stack = useStack(async () => {
  receiver = await startOtlpReceiver();
  return {
    dispatchAfterMs: -1,
    deliverAfterMs: -1,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, EVENKEEL_DELIVERY_BACKOFF_MS: '100' },
  };
});

afterEach(async () => {
  await deleteConsumers(stack());
  await stack().sandbox.clearFaults();
});
afterAll(() => receiver.close());

const eventType = 'evenkeel.order.confirmed.v1';
const delivery = `deliver ${eventType}`;

/** The trace context of the change that wrote an event. */
async function contextOf(
  orderId: string,
  type: string,
): Promise<{ readonly traceId: string; readonly spanId: string }> {
  return waitFor(`order ${orderId} has ${type}`, async () => {
    const [event] = await stack().sql<{ body: string }>('select body from events where order_id = $1 and type = $2', [
      orderId,
      type,
    ]);
    return event && parseTraceparent(String((JSON.parse(event.body) as { traceparent?: unknown }).traceparent));
  });
}

/** The trace that an order begins with, once `has` is content with it. */
async function firstTrace(
  orderId: string,
  what: string,
  has: (spans: readonly ReceivedSpan[]) => boolean,
): Promise<ReceivedSpan[]> {
  const { traceId } = await contextOf(orderId, 'evenkeel.order.created.v1');
  // Two processes send it, each when it is its time; the root is the last that the API sends.
  return receiver.trace(traceId, what, (all) => all.some(named('POST /v1/orders')) && has(all));
}

const named =
  (name: string) =>
  (span: ReceivedSpan): boolean =>
    span.name === name;
const isStep = ({ name }: ReceivedSpan): boolean => name.startsWith('activity ');

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const [span, ...others] = spans.filter(named(name));
  if (span === undefined || others.length > 0) throw new Error(`not one ${name} in:\n${traceText(spans)}`);
  return span;
}

/** Without the statements, in the order in which they began. */
const below = (spans: readonly ReceivedSpan[], { spanId }: ReceivedSpan): string[] =>
  spans
    .filter((span) => span.parentId === spanId && span.attributes['db.system.name'] === undefined)
    .toSorted((one, other) => Number(one.startedAt - other.startedAt))
    .map(({ name }) => name);
const statements = (spans: readonly ReceivedSpan[], { spanId }: ReceivedSpan): string[] =>
  spans.filter((span) => span.parentId === spanId && span.kind === 'CLIENT').map(({ name }) => name);

const shippedOf = async (orderId: string): Promise<string> =>
  waitFor('a shipment is booked', async () => {
    const [shipment] = await stack().sandbox.ledger({ kind: 'shipment', orderId });
    return shipment?.kind === 'shipment' ? shipment.shipmentId : undefined;
  });

test('one trace leads from the request over each step, call and statement to what the consumer gets', async () => {
  const consumer = await consumerOf(stack(), undefined, { types: [eventType] });
  const id = await stack().submitOne(newKey());
  const spans = await firstTrace(id, 'the delivery and the booking', (all) =>
    [delivery, 'carrier book', 'activity book'].every((name) => all.some(named(name))),
  );

  const root = only(spans, 'POST /v1/orders');
  expect(root).toMatchObject({
    parentId: undefined,
    kind: 'SERVER',
    links: [],
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/orders',
      'http.response.status_code': 202,
      'evenkeel.order.id': id,
    },
    resource: { 'service.name': 'evenkeel-api' },
  });
  expect(below(spans, root)).toEqual(['start order']);
  expect(statements(spans, root)).toContain('INSERT orders');

  const start = only(spans, 'start order');
  const steps = ['screen', 'reserve', 'authorize', 'confirm', 'book'].map((step) => `activity ${step}`);
  expect(below(spans, start)).toEqual(steps);
  for (const step of steps) {
    expect(only(spans, step)).toMatchObject({
      kind: 'INTERNAL',
      links: [],
      attributes: {
        'evenkeel.order.id': id,
        'evenkeel.workflow.id': `order-${id}`,
        'evenkeel.activity.attempt': 1,
        'evenkeel.activity.local': true,
      },
      resource: { 'service.name': 'evenkeel-worker' },
    });
  }
  expect(below(spans, only(spans, 'activity authorize'))).toEqual(['payment authorize']);
  expect(only(spans, 'payment authorize')).toMatchObject({
    kind: 'CLIENT',
    attributes: { 'evenkeel.order.id': id, 'evenkeel.outcome': 'authorized' },
  });

  const confirm = only(spans, 'activity confirm');
  expect(statements(spans, confirm)).toContain('UPDATE orders');
  const statement = spans.find(({ name, parentId }) => name === 'UPDATE orders' && parentId === confirm.spanId);
  expect(statement?.attributes).toMatchObject({
    'db.system.name': 'postgresql',
    'db.operation.name': 'UPDATE',
    'db.collection.name': 'orders',
    'db.query.text': expect.stringContaining('where id = $'),
  });
  expect(below(spans, confirm)).toEqual([delivery]);
  const delivered = only(spans, delivery);
  expect(delivered).toMatchObject({
    kind: 'CLIENT',
    attributes: {
      'evenkeel.order.id': id,
      'evenkeel.consumer.id': consumer.id,
      'http.response.status_code': 204,
      'server.address': '127.0.0.1',
    },
  });
  const [receipt] = consumer.receipts;
  expect(parseTraceparent(receipt?.traceparent ?? '')?.spanId).toBe(delivered.spanId);
  expect(parseTraceparent(receipt?.eventTraceparent ?? '')?.spanId).toBe(confirm.spanId);
});

test('each attempt at a provider and at a consumer is a span of its own, and those that failed say with which code', async () => {
  await stack().sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'error', count: 2 });
  const answers = [503, 204];
  const consumer = await consumerOf(stack(), () => answers.shift() ?? 204, { types: [eventType] });
  const id = await stack().submitOne(newKey());
  const spans = await firstTrace(
    id,
    'two deliveries and the booking',
    (all) => all.filter(named(delivery)).length === 2 && all.some(named('activity book')),
  );
  console.log(traceText(spans));

  const start = only(spans, 'start order');
  const attempts = spans.filter(named('activity authorize')).toSorted((a, b) => Number(a.startedAt - b.startedAt));
  expect(
    attempts.map(({ attributes, parentId, status }) => [
      parentId,
      attributes['evenkeel.activity.local'],
      attributes['evenkeel.activity.attempt'],
      status,
    ]),
  ).toEqual([
    [start.spanId, true, 1, { code: 'error', message: 'provider_unavailable' }],
    [start.spanId, false, 1, { code: 'error', message: 'provider_unavailable' }],
    [start.spanId, false, 2, { code: 'unset', message: '' }],
  ]);
  // A key that the provider may know is looked up before it is sent again.
  expect(attempts.map((attempt) => below(spans, attempt))).toEqual([
    ['payment authorize'],
    ['payment lookup', 'payment authorize'],
    ['payment lookup', 'payment authorize'],
  ]);
  const deliveries = spans.filter(named(delivery)).toSorted((a, b) => Number(a.startedAt - b.startedAt));
  const confirm = only(spans, 'activity confirm');
  expect(deliveries.map(({ attributes, parentId }) => [parentId, attributes['error.type']])).toEqual([
    [confirm.spanId, 'http_503'],
    [confirm.spanId, undefined],
  ]);
  expect(consumer.receipts.map(({ traceparent }) => parseTraceparent(traceparent ?? '')?.spanId)).toEqual(
    deliveries.map(({ spanId }) => spanId),
  );
});

test('an order whose worker dies goes on in the same trace', async () => {
  const { sandbox, worker } = stack();
  const consumer = await consumerOf(stack(), undefined, { types: [eventType] });
  const fault = await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'timeout', count: 1 });
  const id = await stack().submitOne(newKey());
  await waitFor('the payment is on its way', async () =>
    (await sandbox.faults()).some(({ id: one, hits }) => one === fault.id && hits > 0),
  );
  await worker.end('SIGKILL');
  await stack().startWorker();
  await settled(stack(), [consumer.id]);
  const spans = await firstTrace(id, 'the delivery and the booking', (all) =>
    [delivery, 'activity book'].every((name) => all.some(named(name))),
  );
  const authorized = spans.find(
    ({ attributes, name }) => name === 'activity authorize' && attributes['evenkeel.outcome'] === 'authorized',
  );
  expect(authorized?.parentId).toBe(only(spans, 'start order').spanId);
  expect(below(spans, only(spans, 'activity confirm'))).toEqual([delivery]);
  expect(only(spans, delivery).resource['service.instance.id']).toMatch(new RegExp(`:${worker.pid}$`));
});

describe('what is heard later', () => {
  test('a callback begins a trace, whose steps are linked to the one that the order began with', async () => {
    const id = await stack().submitOne(newKey());
    const shipment = await shippedOf(id);
    await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
    await stack().sandbox.dispatch(shipment);
    const { traceId } = await contextOf(id, 'evenkeel.order.payment_captured.v1');
    const spans = await receiver.trace(traceId, 'the capture', (all) =>
      ['POST /v1/callbacks/carrier', 'activity capture'].every((name) => all.some(named(name))),
    );
    const first = await firstTrace(id, 'the start', (all) => all.some(named('start order')));
    const start = only(first, 'start order');

    const root = only(spans, 'POST /v1/callbacks/carrier');
    expect(root).toMatchObject({ parentId: undefined, kind: 'SERVER', attributes: { 'evenkeel.order.id': id } });
    expect(below(spans, root)).toEqual(['signal carrier']);
    expect(below(spans, only(spans, 'signal carrier'))).toEqual(['activity dispatch', 'activity capture']);
    expect(below(spans, only(spans, 'activity capture'))).toEqual(['payment capture']);
    for (const step of spans.filter(isStep)) {
      expect([step.name, step.links]).toEqual([step.name, [{ traceId: start.traceId, spanId: start.spanId }]]);
    }
  });

  test('so does a cancellation, with all that it takes back', async () => {
    const id = await stack().submitOne(newKey());
    await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
    const { version } = await stack().order(id);
    const { status, text } = await stack().request(
      'POST',
      `/v1/orders/${id}/cancel`,
      { reason: 'changed my mind' },
      {
        'if-match': `"${version}"`,
      },
    );
    expect([status, text]).toEqual([202, text]);
    await stack().ended([id]);
    const { traceId } = await contextOf(id, 'evenkeel.order.cancelled.v1');
    const spans = await receiver.trace(traceId, 'the end', (all) =>
      ['POST /v1/orders/{id}/cancel', 'activity finish'].every((name) => all.some(named(name))),
    );
    expect(below(spans, only(spans, 'signal cancel'))).toEqual([
      'activity undoBook',
      'activity cancelFulfillment',
      'activity undoAuthorize',
      'activity release',
      'activity finish',
    ]);
    expect(spans.filter(isStep).every(({ links }) => links.length === 1)).toBe(true);
  });
});

test("a caller's own trace is linked, and not trusted with ours", async () => {
  const outside = newTraceparent();
  const { json } = await stack().request('POST', '/v1/orders', newOrder(), {
    'idempotency-key': newKey(),
    traceparent: outside,
  });
  const spans = await firstTrace((json as { id: string }).id, 'its root', (all) => all.some(named('POST /v1/orders')));
  const context = parseTraceparent(outside);
  const root = only(spans, 'POST /v1/orders');
  expect(root.parentId).toBeUndefined();
  expect(root.traceId).not.toBe(context?.traceId);
  expect(root.links).toEqual([{ traceId: context?.traceId, spanId: context?.spanId }]);
});

test('nothing that is secret or personal is in any span', async () => {
  const mark = 'zzmarkedzz';
  const shippingAddress = {
    name: `${mark} name`,
    line1: `${mark} line`,
    city: `${mark} city`,
    postalCode: 'SW1Y 4JH',
    country: 'GB',
  };
  const order = newOrder({ customerId: `${mark}-customer`, payment: { token: `tok_${mark}` }, shippingAddress });
  await consumerOf(stack(), () => ({ answer: 500, headers: { 'x-answer': mark } }));
  const reply = await stack().request('POST', '/v1/orders', order, {
    'idempotency-key': `${mark}-key`,
    'x-caller': mark,
  });
  const { id } = reply.json as { id: string };
  await stack().request('GET', `/v1/orders?customerId=${mark}-customer`);
  await stack().request('GET', `/v1/${mark}/nothing`);
  await stack().request('PUT', `/v1/catalog/${mark}`, { description: mark, priceMinor: -1, currency: mark });
  await stack().request('POST', `/v1/orders/${id}/cancel`, { reason: mark }, { 'if-match': '"999"' });
  await firstTrace(id, 'deliveries and a payment', (all) =>
    ['deliver evenkeel.order.created.v1', 'activity authorize'].every((name) => all.some(named(name))),
  );
  await waitFor('the other requests are recorded', () => receiver.spans.some(named('POST /v1/orders/{id}/cancel')));
  expect(receiver.bodies.some((body) => body.includes(id))).toBe(true);
  for (const body of receiver.bodies) expect(body.includes(mark)).toBe(false);
});

test('every span is one that the documentation names, with no attribute that it does not', () => {
  const strange = receiver.spans.filter(
    ({ attributes, kind, name }) =>
      !spanTypes.some(
        (type) =>
          type.kind === kind.toLowerCase() &&
          patternOf(type).test(name) &&
          Object.keys(attributes).every((key) =>
            [...type.attributes, ...commonAttributes].some((known) => known === key),
          ),
      ),
  );
  expect(receiver.spans.length).toBeGreaterThan(100);
  expect(strange.map(({ attributes, kind, name }) => ({ name, kind, attributes }))).toEqual([]);
});

function patternOf({ name }: SpanType): RegExp {
  // A statement without a table is only what it does.
  return new RegExp(`^${name.replace(' <table>', '').replaceAll(/<[^>]+>/g, '.+')}`);
}

test('a worker that is told to stop sends the spans that it has', async () => {
  const id = await stack().submitOne(newKey());
  await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
  const { worker } = stack();
  onTestFinished(() => stack().startWorker());
  expect(await worker.end('SIGTERM')).toBe(0);
  const { traceId } = await contextOf(id, 'evenkeel.order.created.v1');
  // Without waiting: what is not there when the process is gone never comes.
  const spans = receiver.spans.filter((span) => span.traceId === traceId);
  expect(spans.map(({ name }) => name)).toContain('activity book');
});
