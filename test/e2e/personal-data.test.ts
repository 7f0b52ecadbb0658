/** Marked names go through all that happens to orders; then everything that keeps anything is searched for them. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Worker } from '@temporalio/worker';
import { afterAll, expect, test } from 'vitest';
import { postgresAuditLog } from '../../src/adapters/postgres/audit-log.ts';
import { connect } from '../../src/adapters/postgres/database.ts';
import { postgresErasure } from '../../src/adapters/postgres/erasure.ts';
import { dataConverterOf } from '../../src/adapters/temporal/data-converter.ts';
import { customerHashes, parseKeyRing } from '../../src/adapters/temporal/key-ring.ts';
import { createPayloadCodec } from '../../src/adapters/temporal/payload-codec.ts';
import { workflowBundle } from '../../src/workers/bundle.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { kept } from '../support/kept-payloads.ts';
import { markedColumns, marksIn, newMark, newPlainMark, tablesOf } from '../support/marks.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import type { Program } from '../support/program.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

const payloadKeys = `k1:${randomBytes(32).toString('base64')}`;
const ring = parseKeyRing(payloadKeys);
let receiver: OtlpReceiver;
const stack = useStack(async () => {
  receiver = await startOtlpReceiver();
  return {
    env: {
      EVENKEEL_PAYLOAD_KEYS: payloadKeys,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      EVENKEEL_DELIVERY_MAX_ATTEMPTS: '1',
    },
  };
});
afterAll(() => receiver.close());

const marks = {
  customer: newPlainMark('c'),
  name: newMark('Ada'),
  line: newMark('12 St James'),
  city: newMark('London'),
  postcode: newPlainMark('P'),
  email: `ada.${randomBytes(6).toString('hex')}@example.com`,
  // The pretend gateway repeats a token that it does not know.
  token: newPlainMark('tok_'),
  words: newMark('my own words'),
};
const shippingAddress = {
  name: marks.name,
  line1: marks.line,
  city: marks.city,
  postalCode: marks.postcode,
  country: 'GB',
};
const marked = { customerId: marks.customer, email: marks.email, payment: { token: marks.token }, shippingAddress };

/** A consumer that takes nothing, and says what it was sent. */
async function echoing(): Promise<void> {
  const server = createServer((request, response) => {
    response.writeHead(400, { 'content-type': 'application/json' });
    request.pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  // Few enough that it is no trouble of the consumer's, whose events would be held.
  const types = ['evenkeel.order.created.v1', 'evenkeel.order.cancellation_requested.v1'];
  const body = { name: 'echo', url, types };
  expect((await stack().request('POST', '/v1/consumers', body, { 'idempotency-key': newKey() })).status).toBe(201);
}

const parkedAt = (id: string, step: string): Promise<OrderView> =>
  stack().when(id, `parked at ${step}`, ({ attention }) => attention?.step === step);

async function correct(id: string, step: string, correction: object): Promise<void> {
  const { attention } = await parkedAt(id, step);
  const decision = { attentionId: attention?.id, action: 'retry_corrected', actor: 'bob', reason: marks.words };
  const { status, text } = await stack().request('POST', `/v1/orders/${id}/decisions`, { ...decision, correction });
  expect({ status, text }).toMatchObject({ status: 202 });
}

/** An order that is corrected twice, one that is cancelled, and two that are refused. */
async function live(): Promise<string[]> {
  await echoing();
  const nowhere = { ...shippingAddress, postalCode: 'UNDELIVERABLE' };
  const corrected = await stack().submitOne(newKey(), { ...marked, shippingAddress: nowhere });
  const cancelled = await stack().submitOne(newKey(), marked);
  const bad = { ...newOrder(marked), shippingAddress: { ...shippingAddress, postalCode: marks.line } };
  const unknown = { ...newOrder(marked), items: [{ sku: 'NONE', quantity: 1 }] };
  for (const body of [bad, unknown]) {
    const { status } = await stack().request('POST', '/v1/orders', body, { 'idempotency-key': newKey() });
    expect(status).toBe(422);
  }
  expect((await stack().request('GET', `/v1/orders?customerId=${encodeURIComponent(marks.customer)}`)).status).toBe(
    200,
  );
  await correct(corrected, 'authorize', { paymentToken: 'tok_visa' });
  await correct(corrected, 'book', { shippingAddress });
  await parkedAt(cancelled, 'authorize');
  const wish = await stack().request('POST', `/v1/orders/${cancelled}/cancel`, { reason: marks.words });
  expect(wish.status).toBe(202);
  const ended = await stack().ended([corrected, cancelled]);
  expect(ended.map(({ status }) => status)).toEqual(['completed', 'cancelled']);
  await waitFor('every event is a dead letter', async () => {
    const [open] = await stack().sql(`select 1 from deliveries where status <> 'dead'`);
    const [dead] = await stack().sql(`select 1 from deliveries`);
    return open === undefined && dead !== undefined;
  });
  return [corrected, cancelled];
}

/** The columns that docs/data.md names. */
async function mapped(): Promise<Set<string>> {
  const page = await readFile(new URL('../../docs/data.md', import.meta.url), 'utf8');
  const table = /<!-- table personal -->(.*?)<!-- end -->/s.exec(page)?.[1] ?? '';
  return new Set([...table.matchAll(/^\| `([\w.]+)`/gm)].map(([, column = '']) => column));
}

async function metricsOf(program: Program): Promise<string> {
  const url = program.log.find(({ msg }) => msg === 'metrics are served')?.['url'];
  return (await fetch(String(url))).text();
}

/** As whoever runs an order's workflow again from what Temporal keeps of it. */
async function replay(orderId: string, keys: string): Promise<void> {
  const history = await (await stack().client()).workflow.getHandle(`order-${orderId}`).fetchHistory();
  const dataConverter = dataConverterOf({ EVENKEEL_PAYLOAD_KEYS: keys }, stack().temporal.namespace);
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle(), dataConverter }, history);
}

const saidBy = ({ stdout, stderr }: Program): string => [...stdout, ...stderr].join('\n');

test('who a customer is stays in the tables that the data map names, and is gone from them once they are forgotten', async () => {
  const ids = await live();
  const { api, worker } = stack();
  const sql = <Row extends object>(text: string): Promise<Row[]> => stack().sql(text);

  const columns = await markedColumns(marks, sql);
  expect(columns).toEqual(
    expect.arrayContaining(['orders.shipping_address', 'attempts.answer', 'decisions.correction']),
  );
  const map = await mapped();
  expect(columns.filter((column) => !map.has(column))).toEqual([]);
  // A table that somebody adds is thought about.
  const page = await readFile(new URL('../../docs/data.md', import.meta.url), 'utf8');
  expect((await tablesOf(sql)).filter((table) => !new RegExp(`\`${table}[\`.]`).test(page))).toEqual([]);

  const { texts, payloads, plain } = await kept(await stack().client());
  expect(payloads.length).toBeGreaterThan(20);
  expect(marksIn(marks, texts)).toEqual([]);
  // An id is in the clear in the workflow's own id, and in no payload.
  expect(texts).toContain(`order-${ids[0]}`);
  expect(plain).toEqual([]);
  const decoded = await createPayloadCodec(stack().temporal.namespace, ring).decode([...payloads]);
  const inside = decoded.map(({ data }) => Buffer.from(data ?? []).toString()).join('\n');
  expect(inside).toContain(`${ids[0]}`);
  expect(marksIn(marks, inside)).toEqual([]);

  // It is read again with the key that it was written with, second in the ring or first, and with no other.
  const young = `k2:${randomBytes(32).toString('base64')}`;
  await replay(ids[0] ?? '', `${young},${payloadKeys}`);
  await expect(replay(ids[0] ?? '', young)).rejects.toThrow(/./);

  await waitFor('spans have come', () => receiver.spans.some(({ name }) => name.includes('cancel')));
  expect(marksIn(marks, Buffer.concat(receiver.bodies).toString('latin1'))).toEqual([]);
  expect(marksIn(marks, Buffer.concat(receiver.bodies).toString('utf8'))).toEqual([]);
  for (const program of [api, worker]) {
    expect(marksIn(marks, saidBy(program))).toEqual([]);
    expect(marksIn(marks, await metricsOf(program))).toEqual([]);
  }

  const db = connect(stack().databaseUrl, { pool: 2 });
  const entry = { actor: 'key:ops', roles: [], action: 'eraseCustomer', outcome: 'allowed' } as const;
  const audit = { ...entry, subject: '/v1/erasures', reason: 'asked for', traceId: null };
  const auditId = await postgresAuditLog(db).write(audit);
  const request = { actor: 'key:ops', reason: 'asked for', auditId };
  const erased = await postgresErasure(db, customerHashes(ring)).erase(marks.customer, request);
  await db.destroy();
  expect(erased.orders).toBe(2);
  // The log that nobody can change has none of their words.
  expect(await markedColumns(marks, sql)).toEqual([]);
  expect(await stack().order(ids[0] ?? '')).toMatchObject({ status: 'completed', customerId: erased.customerId });
});
