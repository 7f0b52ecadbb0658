import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { temporalOrderWorkflows } from '../../src/adapters/temporal/order-workflows.ts';
import type { OrderWorkflows } from '../../src/domain/order-ports.ts';
import { workflowIdOf } from '../../src/domain/steps.ts';
import { ORDERS_TASK_QUEUE } from '../../src/workflows/contract.ts';

/** A real Temporal, and no worker: the test itself says how a workflow ends. */
let connection: Connection;
let client: Client;
let workflows: OrderWorkflows;

beforeAll(async () => {
  connection = await Connection.connect({ address: inject('temporalAddress') });
  client = new Client({ connection });
  workflows = temporalOrderWorkflows(client, {
    dispatchOverdueMs: 1,
    deliveryOverdueMs: 1,
    eagerStart: false,
    deadlineMs: 10_000,
  });
});
afterAll(async () => {
  await connection.close();
});

const start = async (incarnation: number, orderId: string = randomUUID()): Promise<string> => {
  await workflows.start({ orderId, incarnation, totalMinor: 100, currency: 'GBP' });
  return orderId;
};
const runOf = async (orderId: string): Promise<{ runId: string; status: string }> => {
  const { runId, status } = await client.workflow.getHandle(workflowIdOf(orderId)).describe();
  return { runId, status: status.name };
};

/** Ends the workflow as one does that comes to the order's end. */
async function complete(orderId: string): Promise<void> {
  const { workflowService } = connection;
  for (;;) {
    const { taskToken, workflowExecution } = await connection.withDeadline(Date.now() + 20_000, () =>
      workflowService.pollWorkflowTaskQueue({ namespace: 'default', taskQueue: { name: ORDERS_TASK_QUEUE } }),
    );
    await workflowService.respondWorkflowTaskCompleted({
      namespace: 'default',
      taskToken,
      // temporal.api.enums.v1.CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
      commands: [{ commandType: 4, completeWorkflowExecutionCommandAttributes: {} }],
    });
    if (workflowExecution?.workflowId === workflowIdOf(orderId)) return;
  }
}

test('a workflow is started once, and its replacement beside it never', async () => {
  const orderId = await start(0);
  const { runId } = await runOf(orderId);
  await start(0, orderId);
  await start(1, orderId);
  expect(await runOf(orderId)).toEqual({ runId, status: 'RUNNING' });
  await client.workflow.getHandle(workflowIdOf(orderId)).terminate();
});

test('a lost workflow is replaced, and one that came to the end of its order is not', async () => {
  const orderId = await start(0);
  const { runId: lost } = await runOf(orderId);
  await client.workflow.getHandle(workflowIdOf(orderId)).terminate();
  expect(await workflows.state(orderId)).toBe('closed');
  await start(0, orderId);
  expect(await runOf(orderId)).toEqual({ runId: lost, status: 'TERMINATED' });
  await start(1, orderId);
  const { runId: replacement, status } = await runOf(orderId);
  expect([replacement === lost, status]).toEqual([false, 'RUNNING']);

  await complete(orderId);
  // A sweeper that was about to start it as well.
  await start(1, orderId);
  expect(await runOf(orderId)).toEqual({ runId: replacement, status: 'COMPLETED' });
});
