import type { WorkflowHandle } from '@temporalio/client';
import type { TroublePolicy } from '../../src/domain/consumer-trouble.ts';
import type { RedrivePolicy } from '../../src/domain/redrive.ts';
import {
  CONSUMER_WORKFLOW,
  ORDERS_TASK_QUEUE,
  REDRIVE_WORKFLOW,
  type RedriveInput,
  type TroubleInput,
  consumerWorkflowIdOf,
  newsSignal,
  redriveWorkflowIdOf,
} from '../../src/workflows/contract.ts';
import type { DeliveryCall } from './memory-delivery.ts';
import type { MemoryConsumer } from './memory-consumer.ts';
import type { MemoryRedrive } from './memory-redrive.ts';
import { waitFor } from './wait.ts';
import { DAY_MS, type Shop } from './workflow.ts';

export const troublePolicy: TroublePolicy = {
  firstProbeMs: 1_000,
  longestProbeMs: 60_000,
  recoveryTickMs: 1_000,
  idleMs: 10 * 60_000,
  giveUpMs: 3 * DAY_MS,
};
export const redrivePolicy: RedrivePolicy = {
  canaries: 3,
  canaryWaitMs: 15 * 60_000,
  firstLookMs: 1_000,
  longestLookMs: 30_000,
  idleMs: 10 * 60_000,
};

/** A workflow of delivery, as a test drives it. */
export class DeliveryStory<Subject> {
  /** The consumer or the redrive. */
  readonly it: Subject;
  readonly id: string;
  readonly handle: WorkflowHandle;
  readonly #shop: Shop;

  constructor(shop: Shop, { id, it, handle }: { id: string; it: Subject; handle: WorkflowHandle }) {
    this.#shop = shop;
    this.id = id;
    this.it = it;
    this.handle = handle;
  }

  now(): Promise<number> {
    return this.#shop.env.currentTimeMs();
  }

  /** Lets time pass at once, whatever waits for it. */
  async pass(ms: number): Promise<void> {
    await this.#shop.env.sleep(ms);
  }

  calls(method: DeliveryCall['method']): DeliveryCall[] {
    return this.#shop.delivery.of(this.id, method);
  }

  /** Waits, without skipping time, until `method` was called so often. */
  async called(method: DeliveryCall['method'], times = 1): Promise<void> {
    const all = (): unknown => this.#shop.delivery.calls.filter(({ id }) => id === this.id);
    await waitFor(`${method} was called ${times} times`, () => this.calls(method).length >= times, 10_000, all);
  }

  /** Skips to the end, over all runs that go on where another stopped. */
  async end(): Promise<{ readonly status: string }> {
    return { status: (await this.handle.result()) as string };
  }
}

/** Starts the workflow of a consumer's trouble, which begins now; under the `id` that a former workflow knew it by, if given. */
export async function beginTrouble(
  shop: Shop,
  it: MemoryConsumer,
  { id = `c${shop.delivery.consumers.size + 1}`, ...rest }: Partial<TroubleInput> & { readonly id?: string } = {},
): Promise<DeliveryStory<MemoryConsumer>> {
  shop.delivery.consumers.set(id, it);
  it.change('enabled', await shop.env.currentTimeMs());
  const input: TroubleInput = { consumerId: id, epoch: it.health.epoch, policy: troublePolicy, ...rest };
  const handle = await shop.env.client.workflow.start(CONSUMER_WORKFLOW, {
    workflowId: consumerWorkflowIdOf(id),
    taskQueue: ORDERS_TASK_QUEUE,
    args: [input],
  });
  return new DeliveryStory(shop, { id, it, handle });
}

/** From now on relays tell of each probe, as soon as it failed or not. */
export function tellOfProbes(shop: Shop): void {
  shop.delivery.afterProbe = async (id) => {
    await shop.env.client.workflow.getHandle(consumerWorkflowIdOf(id)).signal(newsSignal);
  };
}

export async function beginRedrive(
  shop: Shop,
  it: MemoryRedrive,
  { id = `r${shop.delivery.redrives.size + 1}`, ...rest }: Partial<RedriveInput> & { readonly id?: string } = {},
): Promise<DeliveryStory<MemoryRedrive>> {
  shop.delivery.redrives.set(id, it);
  const input: RedriveInput = { redriveId: id, policy: redrivePolicy, ...rest };
  const handle = await shop.env.client.workflow.start(REDRIVE_WORKFLOW, {
    workflowId: redriveWorkflowIdOf(id),
    taskQueue: ORDERS_TASK_QUEUE,
    args: [input],
  });
  return new DeliveryStory(shop, { id, it, handle });
}
