import { expect, test } from 'vitest';
import { audit, stockOf } from '../support/audit.ts';
import { useStack } from '../support/stack.ts';
import { pooled, waitFor } from '../support/wait.ts';

const stack = useStack(() => ({ dispatchAfterMs: 300, deliverAfterMs: 300 }));

const tokens = ['tok_visa', 'tok_visa', 'tok_declined', 'tok_flaky_3', 'tok_timeout_after_effect'] as const;

test('everything at once: kills, faults, cancellations, refusals and scarce stock leave nothing half done', async () => {
  const { api, worker, sandbox } = stack();
  await stack().article('SCARCE', { onHand: 30 });
  await sandbox.addFault({ dependency: 'payments', kind: 'error', rate: 0.1, count: 60 });
  await sandbox.addFault({ dependency: 'payments', kind: 'timeout_after_effect', rate: 0.1, count: 15 });
  await sandbox.addFault({ dependency: 'carrier', kind: 'timeout_after_effect', rate: 0.1, count: 10 });
  await sandbox.addFault({ dependency: 'carrier', kind: 'reset', rate: 0.2, count: 30 });
  await sandbox.addFault({ dependency: 'payments', kind: 'latency', latencyMs: 100 });
  const accepted: string[] = [];
  const submitting = pooled(
    Array.from({ length: 120 }, (_, index) => index),
    10,
    async (index) => {
      const sku = index % 3 === 0 ? 'SCARCE' : 'LANTERN';
      const token = tokens[index % tokens.length] ?? 'tok_visa';
      const [id = ''] = await stack().submit(1, { items: [{ sku, quantity: 2 }], payment: { token } });
      accepted.push(id);
      if (index % 4 !== 0) return;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 2_000));
      // Nobody there, or too late: both are fine.
      await stack()
        .request('POST', `/v1/orders/${id}/cancel`, {})
        .catch(() => undefined);
    },
  );
  for (const reached of [20, 60, 100]) {
    await waitFor(`${reached} orders are accepted`, () => accepted.length >= reached, 120_000);
    await worker.end('SIGKILL');
    if (reached === 60) {
      await api.end('SIGKILL');
      await stack().startApi();
    }
    await stack().startWorker();
  }
  await submitting;
  const orders = await stack().ended(accepted, 180_000);
  expect(orders).toHaveLength(120);
  expect(await audit(stack(), orders)).toEqual([]);
  const sold = (sku: string): number =>
    orders
      .filter(({ status, items }) => status === 'completed' && items[0]?.sku === sku)
      .reduce((sum, { items }) => sum + (items[0]?.quantity ?? 0), 0);
  expect(await stockOf(stack(), 'SCARCE')).toEqual({ onHand: 30 - sold('SCARCE'), reserved: 0 });
  expect(await stockOf(stack(), 'LANTERN')).toEqual({ onHand: 10_000 - sold('LANTERN'), reserved: 0 });
  // It was worth its time only if all of this happened.
  const fates = new Set(orders.map(({ reason }) => reason?.split(':')[0] ?? 'completed'));
  expect([...fates].toSorted()).toEqual(['cancel_requested', 'completed', 'out_of_stock', 'payment_declined']);
});
