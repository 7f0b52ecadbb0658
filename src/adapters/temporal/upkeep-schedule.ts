import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { ORDERS_TASK_QUEUE, UPKEEP_SCHEDULE, UPKEEP_WORKFLOW } from '../../workflows/contract.ts';

/** Makes sure that the upkeep runs every `everyMs`; one that is there already is brought up to date. */
export async function ensureUpkeepSchedule(client: Client, everyMs: number): Promise<void> {
  const schedule = {
    spec: { intervals: [{ every: everyMs }] },
    action: {
      type: 'startWorkflow' as const,
      workflowType: UPKEEP_WORKFLOW,
      workflowId: 'evenkeel-upkeep',
      taskQueue: ORDERS_TASK_QUEUE,
      args: [],
      workflowExecutionTimeout: '5 minutes' as const,
    },
    // A round that takes long is followed by the next, never joined by it; rounds missed are not made up for.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '10s' as const },
  };
  try {
    await client.schedule.create({ scheduleId: UPKEEP_SCHEDULE, ...schedule });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(UPKEEP_SCHEDULE).update((previous) => ({ ...previous, ...schedule }));
  }
}
