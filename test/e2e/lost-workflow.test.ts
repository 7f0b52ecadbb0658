import { expect, test } from 'vitest';
import { workflowIdOf } from '../../src/domain/steps.ts';
import { audit } from '../support/audit.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';

// Looks at every open order in each round, and a round can be asked for.
const stack = useStack(() => ({ dispatchAfterMs: -1, env: { EVENKEEL_RECONCILE_IDLE_MS: '1' } }));

test('an order whose workflow was terminated is flagged, and a retry goes on without a second charge', async () => {
  const [id = ''] = await stack().submit(1);
  const booked = await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
  const client = await stack().client();
  await client.workflow.getHandle(workflowIdOf(id)).terminate('by hand');
  await client.schedule.getHandle('evenkeel-upkeep').trigger();

  const { attention } = await stack().when(id, 'flagged', (order) => order.attention !== null);
  expect(attention).toMatchObject({ step: 'workflow', reason: 'workflow_closed', allowed: ['retry'] });
  const decision = { attentionId: attention?.id, action: 'retry', reason: 'terminated by mistake', actor: 'eve' };
  const decided = await stack().request('POST', `/v1/orders/${id}/decisions`, decision);
  expect(decided.status).toBe(202);
  await stack().sandbox.dispatch(booked.fulfillments[0]?.shipmentId ?? '');

  const orders = await stack().ended([id]);
  expect(orders).toMatchObject([{ status: 'completed', attention: null }]);
  expect(await audit(stack(), orders)).toEqual([]);
  const stale = await stack().request('POST', `/v1/orders/${id}/decisions`, decision);
  expect(stale.json).toMatchObject({ status: 409, code: 'attention_stale' });
});

test('an order that lost its workflow before it could be cancelled is cancelled by the replacement', async () => {
  const [id = ''] = await stack().submit(1);
  await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
  const client = await stack().client();
  await client.workflow.getHandle(workflowIdOf(id)).terminate('by hand');
  expect((await stack().request('POST', `/v1/orders/${id}/cancel`, {})).status).toBe(202);
  await client.schedule.getHandle('evenkeel-upkeep').trigger();
  const { attention } = await stack().when(id, 'flagged', (order) => order.attention !== null);
  const decision = { attentionId: attention?.id, action: 'retry', reason: 'terminated by mistake', actor: 'eve' };
  expect((await stack().request('POST', `/v1/orders/${id}/decisions`, decision)).status).toBe(202);

  const orders = await stack().ended([id]);
  expect(orders).toMatchObject([{ status: 'cancelled', attention: null, payment: { status: 'voided' } }]);
  expect(await audit(stack(), orders)).toEqual([]);
});

test('a post with the key of an order whose workflow is gone starts none behind its back', async () => {
  const key = newKey();
  const id = await stack().submitOne(key);
  await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
  const handle = (await stack().client()).workflow.getHandle(workflowIdOf(id));
  await handle.terminate('by hand');
  const again = await stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': key });
  expect(again.status).toBe(202);
  expect((await handle.describe()).status.name).toBe('TERMINATED');
});
