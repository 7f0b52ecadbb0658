import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { isAlive, processAt } from '../../src/embedded/processes.ts';
import { audit, stockOf } from '../support/audit.ts';
import { descendantsOf } from '../support/processes.ts';
import { newKey, newOrder, startStack, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack();

/** Long enough that there are always some on their way when a process goes. */
async function slowPayments(): Promise<void> {
  await stack().sandbox.addFault({ dependency: 'payments', kind: 'latency', latencyMs: 300 });
  onTestFinished(() => stack().sandbox.clearFaults());
}

test('a worker killed twice while a hundred orders run loses none and charges none twice', async () => {
  const { worker, sandbox } = stack();
  const before = await stockOf(stack(), 'LANTERN');
  await slowPayments();
  const submitting = stack().submit(100);
  const captures = async (): Promise<number> => (await sandbox.ledger({ kind: 'capture' })).length;
  for (const reached of [5, 40]) {
    await waitFor(`${reached} captures`, async () => (await captures()) >= reached);
    await worker.end('SIGKILL');
    await stack().startWorker();
  }
  expect(await captures()).toBeLessThan(100);
  const orders = await stack().ended(await submitting);
  expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(await audit(stack(), orders)).toEqual([]);
  expect(await stockOf(stack(), 'LANTERN')).toEqual({ onHand: before.onHand - 200, reserved: 0 });
});

test('an API that is told to stop answers what it has begun, keeps it, and takes nothing new', async () => {
  const { api } = stack();
  const blocker = new Client({ connectionString: stack().databaseUrl });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  // Holds up every order between its claim and its commit.
  await blocker.query('BEGIN; LOCK TABLE order_lines IN EXCLUSIVE MODE');
  const [booked = ''] = (await stack().sql<{ id: string }>(`select id from orders limit 1`)).map(({ id }) => id);
  const posting = Array.from({ length: 8 }, () =>
    stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': newKey() }),
  );
  await waitFor('eight orders are on their way in', async () => {
    const waiting = await stack().sql(
      `select 1 from pg_locks where not granted and relation = 'order_lines'::regclass`,
    );
    return waiting.length === 8;
  });
  const ended = api.end('SIGTERM');
  await waitFor('it takes nothing new', () =>
    stack()
      .request('GET', `/v1/orders/${booked}`)
      .then(
        () => false,
        () => true,
      ),
  );
  await blocker.query('COMMIT');

  const replies = await Promise.all(posting);
  expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 202));
  expect(await ended).toBe(0);
  await stack().startApi();
  const orders = await stack().ended(replies.map(({ json }) => (json as { id: string }).id));
  expect(await audit(stack(), orders)).toEqual([]);
});

test('a worker that is told to stop under load finishes the steps that it has begun', async () => {
  const { worker, sandbox } = stack();
  const before = (await sandbox.ledger({ kind: 'capture' })).length;
  await slowPayments();
  const submitting = stack().submit(40);
  await waitFor('some captures', async () => (await sandbox.ledger({ kind: 'capture' })).length >= before + 5);
  expect(await worker.end('SIGTERM')).toBe(0);
  expect((await sandbox.ledger({ kind: 'capture' })).length).toBeLessThan(before + 40);
  // Every answer of a provider that was waited for has been written down.
  const unknown = `select key from effects where requested_at is not null and outcome is null`;
  expect(await stack().sql(unknown)).toEqual([]);
  await stack().startWorker();
  const orders = await stack().ended(await submitting);
  expect(await audit(stack(), orders)).toEqual([]);
});

test('a closed stack leaves no process behind', async () => {
  const before = new Set(descendantsOf(process.pid));
  const other = await startStack();
  const started = descendantsOf(process.pid)
    .filter((pid) => !before.has(pid))
    .map((pid) => processAt(pid))
    .filter((ref) => ref !== undefined);
  expect(started.map(({ pid }) => pid)).toEqual(expect.arrayContaining([other.api.pid, other.worker.pid]));
  await other.close();
  await waitFor('all of them are gone', () => started.every((ref) => !isAlive(ref)), 10_000);
});
