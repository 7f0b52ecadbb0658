import type { Client } from '@temporalio/client';
import { DomainFailure } from '../../domain/failures.ts';
import type { TaskKind, TaskQueueFacts, TaskQueues } from '../../domain/fact-ports.ts';
import { ORDERS_TASK_QUEUE } from '../../workflows/contract.ts';
import { boundedCalls } from './bounded.ts';

/** temporal.api.enums.v1.TaskQueueType */
const types: Readonly<Record<TaskKind, number>> = { workflow: 1, activity: 2 };

/**
 * The orders' task queue as Temporal sees it; no call takes longer than `deadlineMs`. The server reckons backlogs anew
 * every few seconds only, and remembers who polled for five minutes.
 */
export function temporalTaskQueues(client: Client, { deadlineMs }: { readonly deadlineMs: number }): TaskQueues {
  const bounded = boundedCalls(client, deadlineMs);

  async function describe(kind: TaskKind): Promise<TaskQueueFacts> {
    const { stats, pollers } = await bounded(`look at the task queue ${ORDERS_TASK_QUEUE}`, () =>
      client.workflowService.describeTaskQueue({
        namespace: client.options.namespace,
        taskQueue: { name: ORDERS_TASK_QUEUE },
        taskQueueType: types[kind],
        reportStats: true,
      }),
    );
    if (!stats) throw new DomainFailure('workflow_unavailable', 'this Temporal server tells no backlogs: 1.29 does');
    const backlog = Number(stats.approximateBacklogCount ?? 0);
    return {
      backlog,
      backlogAgeMs: backlog === 0 ? 0 : msOf(stats.approximateBacklogAge),
      pollers: new Set(pollers.map(({ identity }) => identity)).size,
    };
  }

  return {
    async describe() {
      const [workflow, activity] = await Promise.all([describe('workflow'), describe('activity')]);
      return { workflow, activity };
    },
  };
}

/** A google.protobuf.Duration, whose seconds are 64 bits wide. */
function msOf(duration: { readonly seconds?: unknown; readonly nanos?: number | null } | null | undefined): number {
  return Number(duration?.seconds ?? 0) * 1_000 + (duration?.nanos ?? 0) / 1e6;
}
