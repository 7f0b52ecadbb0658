import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { type Parts, startParts } from '../../src/embedded/start-parts.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { audit } from '../support/audit.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

/** A Temporal that keeps its workflows on disk and comes back at the same address. */
let parts: Parts | undefined;
let start: () => Promise<Parts>;
const dataDir = await mkdtemp(join(tmpdir(), 'evenkeel-temporal-'));
const stack = useStack(async () => {
  const [port, uiPort] = [await freePort(), await freePort()];
  start = async () =>
    (parts = await startParts({
      dataDir,
      env: { ...process.env, TEMPORAL_CLI_PATH: inject('temporalCliPath') },
      report: () => undefined,
      temporal: { port, uiPort, namespace: 'default' },
    }));
  return { temporalAddress: (await start()).temporalAddress, dispatchAfterMs: -1 };
});

afterAll(async () => {
  await parts?.stop();
  await rm(dataDir, { recursive: true });
});

function statuses<T>(of: readonly { readonly status: T }[]): T[] {
  return [...new Set(of.map(({ status }) => status))];
}

test('with Temporal away, orders, callbacks and cancellations are taken, and all run to their ends once it is back', async () => {
  const { sandbox } = stack();
  const running = await stack().submit(20);
  const booked = await Promise.all(
    running.map((id) => stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked')),
  );
  await parts?.stop();
  // Degraded, not unready: what it is asked for it can do.
  await waitFor('the API misses Temporal', async () => {
    const { status, checks } = await stack().readiness();
    return status === 'degraded' && checks.some(({ name, ready }) => name === 'temporal' && !ready);
  });

  // The carrier takes the first ten; the customers of the others change their minds.
  for (const { fulfillments } of booked.slice(0, 10)) await sandbox.dispatch(fulfillments[0]?.shipmentId ?? '');
  const cancelled = await Promise.all(
    running.slice(10).map((id) => stack().request('POST', `/v1/orders/${id}/cancel`, {})),
  );
  expect(statuses(cancelled)).toEqual([202]);
  const posted = await Promise.all(
    Array.from({ length: 20 }, () =>
      stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': newKey() }),
    ),
  );
  expect(statuses(posted)).toEqual([202]);
  const ids = posted.map(({ json }) => (json as { id: string }).id);
  expect((await stack().request('POST', `/v1/orders/${ids[0]}/cancel`, {})).status).toBe(202);
  await waitFor(
    'the carrier was heard',
    async () => (await stack().sql(`select 1 from inbox`)).length >= 10 || undefined,
  );
  expect(await stack().sql(`select 1 from inbox where delivered_at is not null`)).toEqual([]);

  await start();
  const [first = '', ...others] = ids;
  const calledOff = await stack().ended([...running.slice(10), first], 120_000);
  expect(statuses(calledOff)).toEqual(['cancelled']);
  await sandbox.configure({ dispatchAfterMs: 50, deliverAfterMs: 50 });
  const sent = await stack().ended([...running.slice(0, 10), ...others], 120_000);
  expect(statuses(sent)).toEqual(['completed']);
  expect(await audit(stack(), [...calledOff, ...sent])).toEqual([]);
  expect((await stack().request('GET', '/readyz')).json).toMatchObject({ status: 'ready' });
  // The SDK's core has much to say about that: in lines like all others.
  const { log, stdout } = stack().worker;
  expect(log.some(({ sdkComponent, level }) => sdkComponent === 'core' && level === 'warn')).toBe(true);
  expect(stdout.filter((line) => !line.startsWith('{'))).toEqual([]);
});
