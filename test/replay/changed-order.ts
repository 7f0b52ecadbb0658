import { proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../../src/activities/activities.ts';
import type { OrderEnd, OrderInput } from '../../src/workflows/contract.ts';
import { order as unchanged } from '../../src/workflows/order.ts';

const { confirm } = proxyLocalActivities<Activities>({ startToCloseTimeout: '2s' });

/** The order's story with one step more at its end and no `patched()`: no recorded history may replay with it. */
export async function order(input: OrderInput): Promise<OrderEnd> {
  const end = await unchanged(input);
  await confirm({ orderId: input.orderId, key: 'one-step-more' });
  return end;
}
