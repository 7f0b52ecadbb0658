import { expect, onTestFinished, test } from 'vitest';
import { connectTemporal } from '../../src/adapters/temporal/connection.ts';
import { createApp } from '../../src/app.ts';
import { readConfig, requirePeers } from '../../src/config.ts';
import { createInstruments } from '../../src/instruments.ts';
import { reconcile } from '../../src/delivery/reconciler.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { audit } from '../support/audit.ts';
import { useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack(() => ({ dispatchAfterMs: 0 }));

const clean = () => stack().sandbox.clearFaults();

test(
  'a payment provider that fails in every way for a while charges nobody twice, and all orders end',
  { timeout: 480_000 },
  async () => {
    onTestFinished(clean);
    const { sandbox } = stack();
    const faults = [
      { kind: 'error' },
      { kind: 'rate_limit', retryAfterSeconds: 1 },
      { kind: 'reset' },
      { kind: 'timeout' },
      { kind: 'timeout_after_effect' },
      { kind: 'error', operation: 'lookup' },
    ] as const;
    // The oldest that matches hits: a rate below one leaves calls to the others, and some to none.
    for (const fault of faults) await sandbox.addFault({ dependency: 'payments', rate: 0.2, ...fault });
    const ids = await stack().submit(60);
    // Few calls are made while the breaker is open: it lasts as long as it takes each fault to be met.
    const unmet = async () => (await sandbox.faults()).filter(({ hits }) => hits === 0);
    await waitFor('every fault was met', async () => (await unmet()).length === 0, 150_000, unmet);
    await clean();
    const orders = await stack().ended(ids, 240_000);
    expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['completed']));
    expect(await audit(stack(), orders)).toEqual([]);
  },
);

test('a dispatch that is told before the booking was answered is not lost, and the booking is found later', async () => {
  onTestFinished(clean);
  const { sandbox } = stack();
  await sandbox.addFault({ dependency: 'carrier', operation: 'book', kind: 'timeout_after_effect' });
  await sandbox.addFault({ dependency: 'carrier', operation: 'lookup', kind: 'timeout' });
  const [id = ''] = await stack().submit(1);
  const orders = await stack().ended([id]);
  expect(orders).toMatchObject([{ status: 'completed', fulfillments: [{ status: 'delivered', shipmentId: null }] }]);
  expect(await audit(stack(), orders)).toEqual([]);

  await clean();
  await reconcileNow();
  const [shipment] = await sandbox.ledger({ kind: 'shipment', orderId: id });
  expect((await stack().order(id)).fulfillments).toMatchObject([
    { status: 'delivered', shipmentId: shipment?.kind === 'shipment' && shipment.shipmentId },
  ]);
});

test('an authorization that lands after its undo found nothing is found when the undo looks again', async () => {
  onTestFinished(clean);
  const { sandbox } = stack();
  const landsAfterMs = 10_000;
  await sandbox.addFault({
    dependency: 'payments',
    operation: 'authorize',
    kind: 'delay_effect',
    latencyMs: landsAfterMs,
    count: 1,
  });
  // No other attempt gets through: what lands is the first one's.
  await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'timeout' });
  const [id = ''] = await stack().submit(1);
  await waitFor('the attempt is on its way', async () => (await sandbox.faults())[0]?.hits === 1);
  expect((await stack().request('POST', `/v1/orders/${id}/cancel`, {})).status).toBe(202);
  await waitFor('the undo came', async () => {
    const tombstones = await stack().sql(`select 1 from effects where order_id = $1 and tombstoned_at is not null`, [
      id,
    ]);
    return tombstones.length > 0;
  });
  expect(await sandbox.ledger({ orderId: id })).toEqual([]);
  await clean();

  const orders = await stack().ended([id]);
  expect(orders).toMatchObject([{ status: 'cancelled', payment: { status: 'voided' } }]);
  expect((await sandbox.ledger({ orderId: id })).map(({ kind }) => kind)).toEqual(['authorization', 'void']);
  expect(await audit(stack(), orders)).toEqual([]);
});

/** One round of the reconciler that waits for nothing. */
async function reconcileNow(): Promise<void> {
  const config = requirePeers(readConfig(stack().env));
  const instruments = createInstruments(config, createLogger('silent'), 'worker');
  const app = createApp(config, await connectTemporal(config, 'client', {}), instruments);
  try {
    const settings = { ...app.upkeepSettings, idleMs: 0, standstillMs: 3_600_000, unknownMs: 0 };
    await reconcile(app.upkeepDeps, settings, { signal: AbortSignal.timeout(30_000) });
  } finally {
    await app.close();
  }
}
