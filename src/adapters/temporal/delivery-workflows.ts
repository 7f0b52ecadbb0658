import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { TroublePolicy } from '../../domain/consumer-trouble.ts';
import type { DeliveryWorkflows } from '../../domain/delivery-ports.ts';
import type { RedrivePolicy } from '../../domain/redrive.ts';
import {
  CONSUMER_WORKFLOW,
  ORDERS_TASK_QUEUE,
  REDRIVE_WORKFLOW,
  type RedriveInput,
  type TroubleInput,
  consumerWorkflowIdOf,
  lookSignal,
  newsSignal,
  redriveWorkflowIdOf,
} from '../../workflows/contract.ts';
import { boundedCalls } from './bounded.ts';

export interface DeliveryWorkflowOptions {
  /** How long one call to Temporal may take, in milliseconds. */
  readonly deadlineMs: number;
  /** A consumer that answers nothing for this long is disabled. */
  readonly giveUpMs: number;
}

/** A probe a minute costs a dead consumer nothing, and one that is back waits no longer than that. */
const troublePolicy: Omit<TroublePolicy, 'giveUpMs'> = {
  firstProbeMs: 1_000,
  longestProbeMs: 60_000,
  recoveryTickMs: 1_000,
  idleMs: 10 * 60_000,
};

/** Three that all die again are no accident; a consumer that needs longer than a quarter of an hour is in trouble. */
const redrivePolicy: RedrivePolicy = {
  canaries: 3,
  canaryWaitMs: 15 * 60_000,
  firstLookMs: 1_000,
  longestLookMs: 30_000,
  idleMs: 10 * 60_000,
};

/**
 * The workflows of delivery on a Temporal server. Each may be started again and again: one that runs is left alone,
 * one that ended, in whatever way, is followed by another if PostgreSQL says that there is something to do.
 */
export function temporalDeliveryWorkflows(
  client: Client,
  { deadlineMs, giveUpMs }: DeliveryWorkflowOptions,
): DeliveryWorkflows {
  const bounded = boundedCalls(client, deadlineMs);
  const start = async (
    type: string,
    { workflowId, ...rest }: { workflowId: string; staticSummary: string; args: [unknown] },
  ): Promise<void> => {
    await bounded(`start of the workflow ${workflowId}`, () =>
      client.workflow.start(type, {
        workflowId,
        taskQueue: ORDERS_TASK_QUEUE,
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        ...rest,
      }),
    );
  };
  const tell = async (workflowId: string, signal: typeof newsSignal | typeof lookSignal): Promise<void> => {
    try {
      await bounded(`signal to the workflow ${workflowId}`, () =>
        client.workflow.getHandle(workflowId).signal(signal.name),
      );
    } catch (error) {
      // Nobody waits for it, or not yet: whoever is started looks first.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  };

  return {
    async startTrouble(consumerId, epoch) {
      const input: TroubleInput = { consumerId, epoch, policy: { ...troublePolicy, giveUpMs } };
      await start(CONSUMER_WORKFLOW, {
        workflowId: consumerWorkflowIdOf(consumerId),
        args: [input],
        staticSummary: `trouble ${epoch} of consumer ${consumerId}`,
      });
    },
    tellTrouble: (consumerId) => tell(consumerWorkflowIdOf(consumerId), newsSignal),

    async startRedrive(redriveId) {
      const input: RedriveInput = { redriveId, policy: redrivePolicy };
      await start(REDRIVE_WORKFLOW, {
        workflowId: redriveWorkflowIdOf(redriveId),
        args: [input],
        staticSummary: `redrive ${redriveId}`,
      });
    },
    tellRedrive: (redriveId) => tell(redriveWorkflowIdOf(redriveId), lookSignal),
  };
}
