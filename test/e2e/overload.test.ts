import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { postgresApiKeys } from '../../src/adapters/postgres/api-keys.ts';
import { connect } from '../../src/adapters/postgres/database.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { audit } from '../support/audit.ts';
import { type Reply, newKey, newOrder, useStack } from '../support/stack.ts';
import { pooled, waitFor } from '../support/wait.ts';

/** One step at a time, and each at a provider takes a while: some orders a second. */
const stack = useStack(() => ({ env: { EVENKEEL_MAX_CONCURRENT_STEPS: '1', EVENKEEL_SHED_AGE_MS: '2000' } }));

interface Sent {
  readonly key: string;
  readonly reply: Reply;
}

const post = async (key: string): Promise<Sent> => ({
  key,
  reply: await stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': key }),
});
const idsOf = (sent: readonly Sent[]): string[] => sent.map(({ reply }) => (reply.json as OrderView).id);
const answered = (sent: readonly Sent[], status: number): Sent[] => sent.filter(({ reply }) => reply.status === status);

const readiness = async (): Promise<{ readonly status: string; readonly overloaded: boolean }> => {
  const { status, checks } = await stack().readiness();
  return { status, overloaded: checks.some(({ name, ready }) => name === 'overload' && !ready) };
};

const calm = (): Promise<unknown> =>
  waitFor('nothing is shed any more', async () => !(await readiness()).overloaded, 120_000, readiness);

/** Orders of these keys. */
async function kept(keys: readonly string[]): Promise<number> {
  const [row] = await stack().sql<{ count: number }>(
    `select count(*)::int as count from orders where idempotency_key = any($1)`,
    [keys],
  );
  return row?.count ?? 0;
}

/** Sends `perSecond` orders a second whatever the answers are, as customers do, and resolves with all answers. */
async function flood(perSecond: number, seconds: number): Promise<Sent[]> {
  const sent: Promise<Sent>[] = [];
  const begun = performance.now();
  for (let n = 0; n < perSecond * seconds; n += 1) {
    await pause(Math.max(0, begun + (n * 1_000) / perSecond - performance.now()));
    sent.push(post(newKey()));
  }
  return Promise.all(sent);
}

async function readOnlyKey(): Promise<string> {
  const db = connect(stack().databaseUrl, { pool: 1 });
  try {
    const { key } = await postgresApiKeys(db).create({
      name: 'looks',
      roles: ['read-only'],
      validDays: 1,
      actor: 'test',
    });
    return key;
  } finally {
    await db.destroy();
  }
}

test('without a worker orders are refused once those before them wait too long; what was accepted is done by the next worker', async () => {
  const reader = { authorization: `Bearer ${await readOnlyKey()}` };
  expect(await stack().worker.end('SIGTERM')).toBe(0);
  const sent: Sent[] = [];
  await waitFor('an order is refused', async () => {
    sent.push(await post(newKey()));
    await pause(50);
    return sent.at(-1)?.reply.status === 503;
  });
  const [refused] = answered(sent, 503);
  expect(refused?.reply.json).toMatchObject({ code: 'overloaded' });
  expect(Number(refused?.reply.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(Number(refused?.reply.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  expect(await readiness()).toEqual({ status: 'degraded', overloaded: true });
  // Whoever only looks is refused; whoever could mend it is not, and nor is a probe.
  expect((await stack().request('GET', '/v1/orders', undefined, reader)).status).toBe(503);
  expect((await stack().request('GET', '/v1/orders')).status).toBe(200);
  expect((await stack().request('GET', '/livez')).status).toBe(200);
  expect(await kept(answered(sent, 503).map(({ key }) => key))).toBe(0);

  await stack().startWorker();
  const orders = await stack().ended(idsOf(answered(sent, 202)));
  expect(await audit(stack(), orders)).toEqual([]);
  await calm();
  expect((await stack().request('GET', '/v1/orders', undefined, reader)).status).toBe(200);
  // What was refused did nothing: its key is as good as new.
  const again = await stack().submitOne(refused?.key ?? '');
  expect((await stack().ended([again])).map(({ status }) => status)).toEqual(['completed']);
});

test('ten times what can be done is refused down to what can, nothing that was accepted is lost, and it ends by itself', async () => {
  await stack().sandbox.addFault({ dependency: 'payments', kind: 'latency', latencyMs: 60 });
  const sent = await flood(60, 20);
  const accepted = answered(sent, 202);
  const refused = answered(sent, 503);
  expect(accepted.length + refused.length).toBe(sent.length);
  expect(refused.length).toBeGreaterThan(sent.length / 4);
  expect(await kept(refused.map(({ key }) => key))).toBe(0);
  const before = performance.now();
  const orders = await stack().ended(idsOf(accepted), 180_000);
  expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(await audit(stack(), orders)).toEqual([]);
  console.log(
    `${sent.length} sent in 20 s: ${accepted.length} accepted, ${refused.length} refused; all done ${Math.round((performance.now() - before) / 100) / 10} s after`,
  );
  await calm();
  // All who were refused come back with the same key.
  const some = refused.slice(0, 20).map(({ key }) => key);
  const ids = await pooled(some, 8, (key) => stack().submitOne(key));
  expect(await kept(some)).toBe(some.length);
  expect(await audit(stack(), await stack().ended(ids))).toEqual([]);
});
