import { proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../../src/activities/activities.ts';
import type {
  OrderEnd,
  OrderInput,
  RedriveEnd,
  RedriveInput,
  TroubleEnd,
  TroubleInput,
} from '../../src/workflows/contract.ts';
import { consumer as unchangedConsumer } from '../../src/workflows/consumer.ts';
import { order as unchangedOrder } from '../../src/workflows/order.ts';
import { redrive as unchangedRedrive } from '../../src/workflows/redrive.ts';

const { confirm } = proxyLocalActivities<Activities>({ startToCloseTimeout: '2s' });

/** Each story with one step more at its end and no `patched()`: no recorded history may replay with it. */
export async function order(input: OrderInput): Promise<OrderEnd> {
  const end = await unchangedOrder(input);
  await confirm({ orderId: input.orderId, key: 'one-step-more' });
  return end;
}

export async function consumer(input: TroubleInput): Promise<TroubleEnd> {
  const end = await unchangedConsumer(input);
  await confirm({ orderId: input.consumerId, key: 'one-step-more' });
  return end;
}

export async function redrive(input: RedriveInput): Promise<RedriveEnd> {
  const end = await unchangedRedrive(input);
  await confirm({ orderId: input.redriveId, key: 'one-step-more' });
  return end;
}
