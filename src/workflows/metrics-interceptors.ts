import {
  type ConcludeActivationOutput,
  type Sinks,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptors,
  type WorkflowInternalsInterceptor,
  proxySinks,
} from '@temporalio/workflow';
import type { Considered } from './considered.ts';

export type WorkflowOutcome = 'completed' | 'failed' | 'cancelled' | 'continued';

/** What a workflow tells of itself; the worker counts it, and is told nothing while history is replayed. */
export interface MetricsSinks extends Sinks {
  metrics: {
    started(): void;
    closed(outcome: WorkflowOutcome): void;
    /** A signal that a handler takes, or an update that its validator has let pass. */
    told(name: string): void;
  };
}

const { metrics } = proxySinks<MetricsSinks>();

const inbound: Considered<WorkflowInboundCallsInterceptor> = {
  execute(input, next) {
    metrics.started();
    return next(input);
  },
  handleSignal(input, next) {
    metrics.told(input.signalName);
    return next(input);
  },
  handleUpdate(input, next) {
    metrics.told(input.name);
    return next(input);
  },
  // What is only checked, or asked, changes nothing.
  validateUpdate: undefined,
  handleQuery: undefined,
};

const internals: Considered<WorkflowInternalsInterceptor> = {
  concludeActivation(input, next) {
    const output = next(input);
    const outcome = outcomeIn(output);
    if (outcome !== undefined) metrics.closed(outcome);
    return output;
  },
  activate: undefined,
  dispose: undefined,
};

/** What the server is told, whatever the code threw: an error that only fails the workflow task ends nothing. */
function outcomeIn({ commands }: ConcludeActivationOutput): WorkflowOutcome | undefined {
  for (const command of commands) {
    if (command.completeWorkflowExecution) return 'completed';
    if (command.failWorkflowExecution) return 'failed';
    if (command.cancelWorkflowExecution) return 'cancelled';
    if (command.continueAsNewWorkflowExecution) return 'continued';
  }
  return undefined;
}

/** Temporal looks for this name in the modules that the worker registers as workflow interceptors. */
export function interceptors(): WorkflowInterceptors {
  const considered: Considered<WorkflowInterceptors> = {
    inbound: [inbound as WorkflowInboundCallsInterceptor],
    internals: [internals as WorkflowInternalsInterceptor],
    // Activities are measured where they run; there are no child workflows.
    outbound: undefined,
  };
  return considered as WorkflowInterceptors;
}
