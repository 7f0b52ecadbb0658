import { type AddressInfo, createServer } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { audit } from '../support/audit.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack();

const post = (key: string, headers: Record<string, string> = {}, body: unknown = newOrder()) =>
  stack().request('POST', '/v1/orders', body, { 'idempotency-key': key, ...headers });

async function ordersWith(key: string): Promise<number> {
  return (await stack().sql(`select 1 from orders where idempotency_key = $1`, [key])).length;
}

test('of fifty posts at once with one key one makes the order, and a repeat gets its answer byte for byte', async () => {
  const key = newKey();
  const blocker = new Client({ connectionString: stack().databaseUrl });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  // Holds the first up between its claim and its commit, until all others have come.
  await blocker.query('BEGIN; LOCK TABLE order_lines IN EXCLUSIVE MODE');
  let refused = 0;
  const posting = Array.from({ length: 50 }, async () => {
    const reply = await post(key);
    if (reply.status !== 202) refused += 1;
    return reply;
  });
  await waitFor('the others are refused', () => refused === 49, 4_000);
  await blocker.query('COMMIT');

  const replies = Map.groupBy(await Promise.all(posting), ({ status }) => status);
  expect([...replies.keys()].toSorted()).toEqual([202, 409]);
  for (const { json, headers } of replies.get(409) ?? []) {
    expect(json).toMatchObject({ code: 'idempotency_in_progress' });
    expect(headers.get('retry-after')).toBe('1');
  }
  const [first, ...seconds] = replies.get(202) ?? [];
  expect(seconds).toEqual([]);
  expect(first?.headers.get('idempotent-replayed')).toBeNull();
  expect(await ordersWith(key)).toBe(1);

  const orders = await stack().ended([(JSON.parse(first?.text ?? '') as OrderView).id]);
  const again = await Promise.all(Array.from({ length: 50 }, () => post(key)));
  const repeats = again.filter(({ status }) => status === 202);
  expect(repeats.length).toBeGreaterThan(0);
  expect(new Set(repeats.map(({ text }) => text))).toEqual(new Set([first?.text]));
  expect(new Set(repeats.map(({ headers }) => headers.get('idempotent-replayed')))).toEqual(new Set(['true']));
  expect(await ordersWith(key)).toBe(1);
  expect(await audit(stack(), orders)).toEqual([]);
});

test('an API killed between the commit and the start of the workflow loses no order: the sweeper starts it', async () => {
  // Accepts connections and never says a word, so that the kill falls between the two for certain.
  const hole = createServer(() => undefined).listen(0, '127.0.0.1');
  onTestFinished(() => void hole.close());
  await once(hole, 'listening');
  const { port } = hole.address() as AddressInfo;
  await stack().api.end('SIGKILL');
  const deaf = stack().program(['api'], { TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
  await deaf.start('evenkeel api listens');
  const key = newKey();
  const answer = post(key);
  // Handled later: it is expected to fail.
  answer.catch(() => undefined);
  await waitFor('the order is committed', async () => (await ordersWith(key)) === 1);
  await deaf.end('SIGKILL');
  await expect(answer).rejects.toThrow('fetch failed');
  await stack().startApi();

  const [row] = await stack().sql<{ id: string }>(`select id from orders where idempotency_key = $1`, [key]);
  const orders = await stack().ended([row?.id ?? '']);
  expect(orders.map(({ status }) => status)).toEqual(['completed']);
  expect(await stack().submitOne(key)).toBe(row?.id);
  expect(await audit(stack(), orders)).toEqual([]);
});

test('a price that changed between the attempts at the payment changes no amount', async () => {
  await stack().article('PRICED', { priceMinor: 700 });
  const fault = await stack().sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'error' });
  const [id = ''] = await stack().submit(1, { items: [{ sku: 'PRICED', quantity: 3 }] });
  await waitFor('two attempts failed', async () => {
    const faults = await stack().sandbox.faults();
    return (faults.find((other) => other.id === fault.id)?.hits ?? 0) >= 2;
  });
  await stack().article('PRICED', { priceMinor: 900 });
  await stack().sandbox.clearFaults();
  const orders = await stack().ended([id]);
  expect(orders).toMatchObject([{ status: 'completed', totalMinor: 2_100, payment: { capturedMinor: 2_100 } }]);
  const money = (await stack().sandbox.ledger({ orderId: id })).filter((effect) => 'amountMinor' in effect);
  expect(money).toMatchObject([
    { kind: 'authorization', amountMinor: 2_100 },
    { kind: 'capture', amountMinor: 2_100 },
  ]);
});

test('one trace leads from the post through the events up to the confirmation to the log of the worker', async () => {
  const outside = '4bf92f3577b34da6a3ce929d0e0e4736';
  // Its attempts fail, which is what a worker logs.
  const body = newOrder({ payment: { token: 'tok_flaky_3' } });
  const reply = await post(newKey(), { traceparent: `00-${outside}-00f067aa0ba902b7-01` }, body);
  const { id } = reply.json as OrderView;
  await stack().ended([id]);
  const request = await waitFor('the line of the request', () =>
    stack().api.log.find((line) => line['orderId'] === id && line['status'] === 202),
  );
  // What comes from outside is named, and not trusted.
  expect(request['linkedTraceId']).toBe(outside);
  const traceId = String(request['traceId']);
  expect(traceId).not.toBe(outside);
  const events = await stack().sql<{ type: string; body: string }>(
    `select type, body from events where order_id = $1 order by sequence`,
    [id],
  );
  const upToConfirmed = events.slice(0, 1 + events.findIndex(({ type }) => type === 'evenkeel.order.confirmed.v1'));
  expect(upToConfirmed.length).toBeGreaterThanOrEqual(4);
  for (const { type, body: text } of upToConfirmed)
    expect([type, (JSON.parse(text) as { traceparent?: string }).traceparent?.slice(3, 35)]).toEqual([type, traceId]);
  const failed = stack().worker.log.filter((line) => line['workflowId'] === `order-${id}`);
  expect(failed.length).toBeGreaterThan(0);
  expect(new Set(failed.map((line) => line['traceId']))).toEqual(new Set([traceId]));
});

test.each(['ndjson', 'csv'])('a file (%s) submitted again days later makes no second order', async (format) => {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-file-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, `orders.${format}`);
  await writeFile(file, format === 'csv' ? csv : ndjson);
  const submit = async () => {
    const catalog = format === 'csv' ? ['--catalog'] : [];
    const words = ['submit', file, '--url', stack().url, '--wait', '--json', ...catalog];
    const program = stack().program([...words, '--report', join(folder, 'refused.csv')]);
    await program.start();
    const code = await program.exited();
    return { code, ...(JSON.parse(program.stdout.join('\n')) as { orders: object; wait: object }) };
  };
  const count = async () => Number((await stack().sql<{ n: string }>(`select count(*) as n from orders`))[0]?.n);

  const before = await count();
  expect(await submit()).toMatchObject({
    code: 0,
    orders: { accepted: 3, alreadyThere: 0 },
    wait: { byStatus: { completed: 3 } },
  });
  // Past the 72 hours that an answer is remembered for.
  await stack().sql(`update idempotency_answers set created_at = created_at - interval '80 hours'`);
  expect(await submit()).toMatchObject({ code: 0, orders: { accepted: 0, alreadyThere: 3 } });
  expect(await count()).toBe(before + 3);
});

const ndjson = [1, 2, 3].map((n) => `${JSON.stringify({ orderNumber: `N-${n}`, ...newOrder() })}\n`).join('');
const csv = `InvoiceNo,StockCode,Description,Quantity,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2.55,17850,United Kingdom
536365,71053,WHITE METAL LANTERN,6,3.39,17850,United Kingdom
536366,22633,HAND WARMER UNION JACK,6,1.85,17850,United Kingdom
536370,22728,ALARM CLOCK BAKELIKE PINK,24,3.75,12583,France
`;
