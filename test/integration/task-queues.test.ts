import { randomBytes } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { lazyConnection } from '../../src/adapters/temporal/lazy-connection.ts';
import { temporalTaskQueues } from '../../src/adapters/temporal/task-queues.ts';
import type { TaskKind, TaskQueueFacts, TaskQueues } from '../../src/domain/fact-ports.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { ORDERS_TASK_QUEUE, ORDER_WORKFLOW } from '../../src/workflows/contract.ts';
import { waitFor } from '../support/wait.ts';

/** A real Temporal, a namespace of our own, and no worker but this test, which takes tasks when it wants to. */
let connection: Connection;
let client: Client;
let queues: TaskQueues;
const namespace = `test-${randomBytes(6).toString('hex')}`;
const taskQueue = { name: ORDERS_TASK_QUEUE };

beforeAll(async () => {
  connection = await Connection.connect({ address: inject('temporalAddress') });
  const workflowExecutionRetentionPeriod = { seconds: 24 * 3600 } as never;
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  client = new Client({ connection, namespace });
  queues = temporalTaskQueues(client, { deadlineMs: 10_000 });
});
afterAll(async () => {
  await connection.close();
});

/** The server reckons anew every few seconds only. */
function seen(kind: TaskKind, what: string, is: (facts: TaskQueueFacts) => boolean): Promise<TaskQueueFacts> {
  const look = async () => (await queues.describe())[kind];
  return waitFor(
    `the ${kind} queue has ${what}`,
    async () => {
      const facts = await look();
      return is(facts) && facts;
    },
    60_000,
    look,
  );
}

const begin = (): Promise<unknown> =>
  client.workflow.start(ORDER_WORKFLOW, { taskQueue: ORDERS_TASK_QUEUE, workflowId: randomBytes(6).toString('hex') });

/** One workflow task: its workflow asks for an activity. */
async function takeWorkflowTask(): Promise<void> {
  const { workflowService } = connection;
  const { taskToken } = await connection.withDeadline(Date.now() + 20_000, () =>
    workflowService.pollWorkflowTaskQueue({ namespace, taskQueue, identity: 'one worker' }),
  );
  const scheduleActivityTaskCommandAttributes = {
    activityId: '1',
    activityType: { name: 'book' },
    taskQueue,
    scheduleToCloseTimeout: { seconds: 3600 } as never,
    startToCloseTimeout: { seconds: 3600 } as never,
  };
  // temporal.api.enums.v1.CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK
  const commands = [{ commandType: 1 as const, scheduleActivityTaskCommandAttributes }];
  await workflowService.respondWorkflowTaskCompleted({ namespace, taskToken, commands });
}

async function takeActivityTask(): Promise<void> {
  const { workflowService } = connection;
  const { taskToken } = await connection.withDeadline(Date.now() + 20_000, () =>
    workflowService.pollActivityTaskQueue({ namespace, taskQueue, identity: 'one worker' }),
  );
  await workflowService.respondActivityTaskCompleted({ namespace, taskToken });
}

test('with no worker the backlog is there and grows older, and with one it goes', async () => {
  expect(await queues.describe()).toEqual({
    workflow: { backlog: 0, backlogAgeMs: 0, pollers: 0 },
    activity: { backlog: 0, backlogAgeMs: 0, pollers: 0 },
  });
  await Promise.all([begin(), begin()]);
  const waiting = await seen('workflow', 'two tasks', ({ backlog }) => backlog === 2);
  expect(waiting.pollers).toBe(0);
  await seen('workflow', 'an older one', ({ backlogAgeMs }) => backlogAgeMs > waiting.backlogAgeMs);

  await takeWorkflowTask();
  await takeWorkflowTask();
  expect((await seen('workflow', 'no task', ({ backlog }) => backlog === 0)).backlogAgeMs).toBe(0);
  const asked = await seen('activity', 'two tasks', ({ backlog }) => backlog === 2);
  expect([(await queues.describe()).workflow.pollers, asked.pollers]).toEqual([1, 0]);

  await takeActivityTask();
  await takeActivityTask();
  expect((await seen('activity', 'no task', ({ backlog }) => backlog === 0)).pollers).toBe(1);
});

test('a Temporal that cannot be asked is told as such, in time', async () => {
  const away = lazyConnection({ address: `127.0.0.1:${await freePort()}` });
  const facts = temporalTaskQueues(new Client({ connection: away.connection }), { deadlineMs: 500 });
  await expect(facts.describe()).rejects.toMatchObject({ code: 'workflow_unavailable' });
  await away.close();
});
