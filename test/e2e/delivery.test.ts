/** From an order to its consumers' doors, over real HTTP, real Temporal, real PostgreSQL; and the audit of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { validateEvent } from '../../src/api/event-schemas.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { consumerOf, deleteConsumers, settled } from '../support/deliveries.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import type { Behavior, TestConsumer } from '../support/test-consumer.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack(() => ({ env: { EVENKEEL_DELIVERY_TIMEOUT_MS: '3000', EVENKEEL_DELIVERY_BACKOFF_MS: '100' } }));

afterEach(() => deleteConsumers(stack()));

const consumer = (behave?: Behavior, body?: Readonly<Record<string, unknown>>): Promise<TestConsumer> =>
  consumerOf(stack(), behave, body);

test('every event of every order reaches the consumer, signed, valid, once, in the sequence of its order', async () => {
  const healthy = await consumer();
  const ids = await stack().submit(12);
  // Another fate, so that other events are among them.
  ids.push(await stack().submitOne(newKey(), { payment: { token: 'tok_declined' } }));
  await stack().ended(ids);
  await settled(stack(), [healthy.id]);

  expect(healthy.unsigned).toEqual([]);
  const stored = await stack().sql<{ id: string; body: string }>(
    'select id, body from events where order_id = any($1)',
    [ids],
  );
  expect(healthy.receipts.map(({ eventId }) => eventId).toSorted()).toEqual(stored.map(({ id }) => id).toSorted());
  expect(stored.flatMap(({ body }) => validateEvent(JSON.parse(body)))).toEqual([]);
  for (const [subject, receipts] of Map.groupBy(healthy.receipts, (receipt) => receipt.subject)) {
    const sequences = receipts.map(({ sequence }) => sequence);
    expect([subject, sequences]).toEqual([subject, sequences.toSorted((a, b) => a - b)]);
  }
});

test('a consumer gets what it asked for and nothing else', async () => {
  const ends = await consumer(undefined, { types: ['evenkeel.order.completed.v1', 'evenkeel.order.rejected.v1'] });
  const dear = await consumer(undefined, {
    types: ['evenkeel.order.created.v1'],
    filter: { data: { currency: 'GBP', totalMinor: 3_000 } },
  });
  const ids = [
    await stack().submitOne(newKey(), { items: [{ sku: 'LANTERN', quantity: 3 }] }),
    await stack().submitOne(newKey(), { payment: { token: 'tok_declined' } }),
  ];
  await stack().ended(ids);
  await settled(stack(), [ends.id, dear.id]);
  expect(ends.receipts.map(({ subject, type }) => [subject, type]).toSorted()).toEqual(
    [
      [ids[0], 'evenkeel.order.completed.v1'],
      [ids[1], 'evenkeel.order.rejected.v1'],
    ].toSorted(),
  );
  expect(dear.receipts.map(({ subject }) => subject)).toEqual([ids[0]]);
});

test('one that hangs, one that is slow, one that fails, one that breaks off and one that is not there starve nobody', async () => {
  const healthy = await consumer();
  const hangs = await consumer(() => 'hang');
  const fails = await consumer(() => 500);
  await consumer(() => 'half');
  await consumer(() => 'reset');
  const slow = await consumer(() => ({ answer: 204, afterMs: 500 }));
  const absent = await consumer();
  await absent.down();
  const ids = await stack().submit(30);
  await stack().ended(ids);
  await settled(stack(), [healthy.id]);
  const pending = async (id: string) =>
    (await stack().sql(`select 1 from deliveries where status = 'pending' and consumer_id = $1`, [id])).length;
  // The healthy one has all while the others have hardly begun: theirs would take minutes.
  expect(await pending(hangs.id)).toBeGreaterThan(100);
  expect(await pending(slow.id)).toBeGreaterThan(0);
  expect(healthy.accepted.length).toBe(
    (await stack().sql('select 1 from events where order_id = any($1)', [ids])).length,
  );
  await waitFor('those that cannot work are known to be in trouble', async () => {
    const inTrouble = await stack().sql<{ id: string }>(
      `select consumer_id as id from consumer_health where mode <> 'normal'`,
    );
    return [hangs.id, fails.id, absent.id].every((id) => inTrouble.some((row) => row.id === id));
  });
});

test('the reference consumer has every event once, and the audit finds nothing, nor misses what is taken away', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-example-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const made = await stack().request(
    'POST',
    '/v1/consumers',
    { name: 'example', url, types: ['evenkeel.order.*'] },
    { 'idempotency-key': newKey() },
  );
  const { id, secret } = made.json as { id: string; secret: string };
  const env = { PORT: String(port), STORE: join(folder, 'events.db'), WEBHOOK_SECRET: secret };
  let example = start(env);
  onTestFinished(() => {
    example.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const receipts = async (): Promise<string[]> =>
    (await (await fetch(`${url}receipts`)).text()).split('\n').filter((line) => line !== '');

  const submitting = stack().submit(20);
  await waitFor('it has some', async () => (await receipts().catch(() => [])).length > 20);
  example.kill('SIGKILL');
  const ids = await submitting;
  await stack().ended(ids);
  example = start(env);
  await settled(stack(), [id]);

  const audit = async (): Promise<string[]> => {
    const program = stack().program(['audit', 'events', '--receipts', `${url}receipts`, '--consumer', id]);
    await program.start();
    await waitFor('the audit ends', () => program.stdout.some((line) => /nothing is missing|findings/.test(line)));
    return program.stdout;
  };
  expect((await audit()).slice(2)).toEqual(['nothing is missing, nothing is one too many']);

  const [lost] = await stack().sql<{ id: string }>(
    `delete from attempts where delivery_id = (select min(id) from deliveries where consumer_id = $1)
     returning delivery_id as id`,
    [id],
  );
  const findings = await audit();
  expect(findings).toContain('1 findings');
  expect(findings[0]).toContain(`delivery ${lost?.id}: it is delivered, and no attempt in its log was`);
});

function start(env: Readonly<Record<string, string>>): ChildProcess {
  const program = join(import.meta.dirname, '../../examples/consumer/consumer.ts');
  return spawn(process.execPath, [program], { env, stdio: 'ignore' });
}

test('an order that is accepted has its deliveries, though every worker and Temporal itself be away', async () => {
  const healthy = await consumer();
  await stack().worker.end('SIGKILL');
  const { json } = await stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': newKey() });
  const { id } = json as { id: string };
  expect(await stack().sql('select 1 from deliveries where order_id = $1', [id])).toHaveLength(1);
  expect(healthy.receipts).toEqual([]);
  await stack().startWorker();
  await stack().ended([id]);
  await settled(stack(), [healthy.id]);
});
