import type { Context } from '@temporalio/activity';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor, ActivityInterceptors, InjectedSinks } from '@temporalio/worker';
import type { Activities } from '../activities/activities.ts';
import type { UndoOutcome } from '../domain/provider-ports.ts';
import type { Considered } from '../workflows/considered.ts';
import type { MetricsSinks } from '../workflows/metrics-interceptors.ts';
import type { Labels, Metrics } from './metrics.ts';

type Compensation = Labels<'compensations'>['step'];

/** The activities that undo a step. */
const undos: Partial<Record<string, Compensation>> = {
  release: 'release',
  undoAuthorize: 'void',
  undoBook: 'cancel_shipment',
  undoCapture: 'refund',
} satisfies Partial<Record<keyof Activities, Compensation>>;

/** Counts and times each attempt of an activity, and the undos that came to something. */
export function activityMetrics(metrics: Metrics): (context: Context) => ActivityInterceptors {
  return ({ info: { activityType: activity, isLocal } }) => {
    const local = isLocal ? 'true' : 'false';
    const step = undos[activity];
    const inbound: Considered<ActivityInboundCallsInterceptor> = {
      async execute(input, next) {
        const begunAt = performance.now();
        const ended = (outcome: Labels<'activityAttempts'>['outcome']): void => {
          metrics.count('activityAttempts', { activity, local, outcome });
          metrics.observe('activitySeconds', { activity }, (performance.now() - begunAt) / 1000);
        };
        try {
          const result = await next(input);
          ended('completed');
          if (step !== undefined && isUndone(result)) metrics.count('compensations', { step });
          return result;
        } catch (error) {
          ended(error instanceof CancelledFailure ? 'cancelled' : 'failed');
          throw error;
        }
      },
    };
    const considered: Considered<ActivityInterceptors> = {
      inbound: inbound as ActivityInboundCallsInterceptor,
      // Only the SDK's own log and metrics go out that way.
      outbound: undefined,
    };
    return considered as ActivityInterceptors;
  };
}

/** A release has no answer that says otherwise. */
function isUndone(result: unknown): boolean {
  if (typeof result !== 'object' || result === null || !('outcome' in result)) return true;
  const { outcome } = result as UndoOutcome;
  return outcome === 'undone' || outcome === 'nothing';
}

/** Counts what this process asks Temporal for. */
export function clientMetrics(metrics: Metrics): WorkflowClientInterceptor {
  const counted =
    (operation: Labels<'temporalRequests'>['operation']) =>
    async <Input, Output>(input: Input, next: (input: Input) => Promise<Output>): Promise<Output> => {
      try {
        const output = await next(input);
        metrics.count('temporalRequests', { operation, outcome: 'completed' });
        return output;
      } catch (error) {
        metrics.count('temporalRequests', { operation, outcome: 'failed' });
        throw error;
      }
    };
  const hooks: Considered<WorkflowClientInterceptor> = {
    startWithDetails: counted('start'),
    signalWithStart: counted('start'),
    signal: counted('signal'),
    startUpdate: counted('update'),
    startUpdateWithStart: counted('update'),
    query: counted('query'),
    terminate: counted('other'),
    cancel: counted('other'),
    describe: counted('other'),
    // The deprecated form of startWithDetails: with both, a start would be two.
    start: undefined,
  };
  return hooks as WorkflowClientInterceptor;
}

/**
 * Counts what workflows tell of themselves; without `metrics` takes it and counts nothing, since the SDK complains of a
 * sink that is not there. Replays are not counted. A workflow task that has to be done again is: one that timed out, was
 * lost with its worker, or was about to end its workflow when a signal came in.
 */
export function workflowSinks(metrics: Metrics | undefined): InjectedSinks<MetricsSinks> {
  return {
    metrics: {
      started: {
        callDuringReplay: false,
        fn: ({ workflowType: workflow }) => metrics?.count('workflowsStarted', { workflow }),
      },
      closed: {
        callDuringReplay: false,
        fn: ({ workflowType: workflow }, outcome) => metrics?.count('workflowsClosed', { workflow, outcome }),
      },
      told: {
        callDuringReplay: false,
        fn: (_info, message) => metrics?.count('workflowMessages', { message }),
      },
    },
  };
}
