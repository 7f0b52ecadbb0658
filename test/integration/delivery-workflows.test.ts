import { randomBytes, randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { temporalDeliveryWorkflows } from '../../src/adapters/temporal/delivery-workflows.ts';
import { lazyConnection } from '../../src/adapters/temporal/lazy-connection.ts';
import type { DeliveryWorkflows } from '../../src/domain/delivery-ports.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { workflowSinks } from '../../src/telemetry/temporal-metrics.ts';
import { workflowBundle } from '../../src/workers/bundle.ts';
import { ORDERS_TASK_QUEUE, consumerWorkflowIdOf, redriveWorkflowIdOf } from '../../src/workflows/contract.ts';
import { MemoryConsumer } from '../support/memory-consumer.ts';
import { MemoryDelivery } from '../support/memory-delivery.ts';
import { MemoryRedrive } from '../support/memory-redrive.ts';
import { waitFor } from '../support/wait.ts';

/** A real Temporal, in a namespace where no other test takes our tasks; a worker only where a test runs one. */
const namespace = `delivery-${randomBytes(6).toString('hex')}`;
const options = { deadlineMs: 10_000, giveUpMs: 60_000 };
let connection: Connection;
let client: Client;
let workflows: DeliveryWorkflows;

beforeAll(async () => {
  connection = await Connection.connect({ address: inject('temporalAddress') });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 24 * 3600 } as never,
  });
  client = new Client({ connection, namespace });
  workflows = temporalDeliveryWorkflows(client, options);
});
afterAll(async () => {
  await connection.close();
});

const runOf = async (workflowId: string): Promise<{ runId: string; status: string }> => {
  const { runId, status } = await client.workflow.getHandle(workflowId).describe();
  return { runId, status: status.name };
};

/** Runs a worker over `delivery` while `work` lasts. */
async function withWorker(delivery: MemoryDelivery, work: () => Promise<void>): Promise<void> {
  const native = await NativeConnection.connect({ address: inject('temporalAddress') });
  const worker = await Worker.create({
    connection: native,
    namespace,
    taskQueue: ORDERS_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: delivery.activities(),
    sinks: workflowSinks(undefined),
  });
  await worker.runUntil(work);
  await native.close();
}

describe.each([
  [
    'trouble',
    consumerWorkflowIdOf,
    (id: string) => workflows.startTrouble(id, 1),
    (id: string) => workflows.tellTrouble(id),
  ],
  [
    'redrive',
    redriveWorkflowIdOf,
    (id: string) => workflows.startRedrive(id),
    (id: string) => workflows.tellRedrive(id),
  ],
] as const)('the workflow of a %s', (_what, workflowIdOf, start, tell) => {
  test('is started once, and left alone while it runs', async () => {
    const id = randomUUID();
    await start(id);
    const first = await runOf(workflowIdOf(id));
    await start(id);
    expect(await runOf(workflowIdOf(id))).toEqual(first);
    await client.workflow.getHandle(workflowIdOf(id)).terminate();
  });

  test('is followed by another once it was terminated', async () => {
    const id = randomUUID();
    await start(id);
    const lost = await runOf(workflowIdOf(id));
    await client.workflow.getHandle(workflowIdOf(id)).terminate();
    await start(id);
    const next = await runOf(workflowIdOf(id));
    expect([next.status, next.runId === lost.runId]).toEqual(['RUNNING', false]);
    await client.workflow.getHandle(workflowIdOf(id)).terminate();
  });

  test('hears what it is told, and where none runs nobody need hear', async () => {
    const id = randomUUID();
    await tell(id);
    await start(id);
    await tell(id);
    const handle = client.workflow.getHandle(workflowIdOf(id));
    const { events } = await handle.fetchHistory();
    expect(events?.filter((event) => event.workflowExecutionSignaledEventAttributes)).toHaveLength(1);
    await handle.terminate();
    await expect(tell(id)).resolves.toBeUndefined();
  });
});

test('a Temporal that is away is a workflow that is unavailable, for whoever tries again later', async () => {
  const nobody = lazyConnection({ address: `127.0.0.1:${await freePort()}` });
  const away = temporalDeliveryWorkflows(new Client({ connection: nobody.connection }), {
    ...options,
    deadlineMs: 500,
  });
  const calls = [
    () => away.startTrouble('c', 1),
    () => away.tellTrouble('c'),
    () => away.startRedrive('r'),
    () => away.tellRedrive('r'),
  ];
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'workflow_unavailable' });
  await nobody.close();
});

describe('on a real server', () => {
  test('a trouble can be read at a glance, and comes to its end; the next one has a workflow of its own', async () => {
    const id = randomUUID();
    const consumer = new MemoryConsumer({ backlog: 5 });
    const delivery = new MemoryDelivery(async () => Date.now());
    delivery.consumers.set(id, consumer);
    consumer.change('enabled', Date.now());
    await workflows.startTrouble(id, 1);
    const handle = client.workflow.getHandle(consumerWorkflowIdOf(id));
    await withWorker(delivery, async () => {
      await waitFor('the first probe', () => delivery.of(id, 'probe').length > 0);
      const { currentDetails } = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
      expect(currentDetails).toContain('**probing** · 5 deliveries left behind');
      expect(await (await handle.describe()).staticSummary()).toBe(`trouble 1 of consumer ${id}`);
      consumer.isUp = true;
      await workflows.tellTrouble(id);
      expect(await handle.result()).toBe('ended');
      expect(consumer.backlog).toBe(0);

      const ended = await runOf(handle.workflowId);
      consumer.health = { ...consumer.health, mode: 'probing', epoch: 2 };
      consumer.backlog = 2;
      await workflows.startTrouble(id, 2);
      expect(await client.workflow.getHandle(handle.workflowId).result()).toBe('ended');
      expect((await runOf(handle.workflowId)).runId).not.toBe(ended.runId);
    });
  });

  test('one that is started while the workflow of its predecessor still runs gets its own as soon as that has left', async () => {
    const id = randomUUID();
    const consumer = new MemoryConsumer({ backlog: 5 });
    const delivery = new MemoryDelivery(async () => Date.now());
    delivery.consumers.set(id, consumer);
    consumer.change('enabled', Date.now());
    await workflows.startTrouble(id, 1);
    await withWorker(delivery, async () => {
      await waitFor('the first probe', () => delivery.of(id, 'probe').length > 0);
      consumer.nextTrouble();
      consumer.isUp = true;
      // As the sweeper does, again and again.
      await waitFor('the second trouble to end', async () => {
        if (consumer.health.mode === 'normal') return true;
        await workflows.startTrouble(id, 2);
        await workflows.tellTrouble(id);
        return false;
      });
      expect(consumer.health.epoch).toBe(2);
    });
  });

  test('a redrive sends all there is', async () => {
    const id = randomUUID();
    const redrive = new MemoryRedrive({ total: 13, ratePerSecond: 10 });
    const delivery = new MemoryDelivery(async () => Date.now());
    delivery.redrives.set(id, redrive);
    await workflows.startRedrive(id);
    await withWorker(delivery, async () => {
      expect(await client.workflow.getHandle(redriveWorkflowIdOf(id)).result()).toBe('completed');
    });
    expect(redrive.sent).toBe(13);
  });
});
