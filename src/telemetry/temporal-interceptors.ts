import type { Context } from '@temporalio/activity';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import { CancelledFailure, defaultPayloadConverter } from '@temporalio/common';
import type { ActivityInterceptors } from '@temporalio/worker';
import type { Log } from './log.ts';
import { currentTraceparent, withTraceparent } from './trace-context.ts';

const TRACEPARENT = 'traceparent';

/** Starts workflows within the trace of the request that starts them. */
export const clientTraceInterceptor: WorkflowClientInterceptor = {
  start(input, next) {
    const traceparent = currentTraceparent();
    if (traceparent === undefined) return next(input);
    const headers = { ...input.headers, [TRACEPARENT]: defaultPayloadConverter.toPayload(traceparent) };
    return next({ ...input, headers });
  },
};

/** Runs each activity attempt within its workflow's trace, and logs the ones that fail: once, with what to search for. */
export function activityInterceptors(log: Log): (context: Context) => ActivityInterceptors {
  return ({ info }) => ({
    inbound: {
      async execute(input, next) {
        const payload = input.headers[TRACEPARENT];
        const traceparent: unknown = payload && defaultPayloadConverter.fromPayload(payload);
        const run = async (): Promise<unknown> => {
          try {
            return await next(input);
          } catch (error) {
            if (!(error instanceof CancelledFailure)) {
              const { activityType, attempt, isLocal, workflowExecution } = info;
              const { workflowId } = workflowExecution ?? {};
              log.warn({ err: error, activityType, attempt, isLocal, workflowId }, 'activity attempt failed');
            }
            throw error;
          }
        };
        return typeof traceparent === 'string' ? withTraceparent(traceparent, run) : run();
      },
    },
  });
}
