import { defaultPayloadConverter } from '@temporalio/common';
import type {
  ActivityInput,
  LocalActivityInput,
  Next,
  WorkflowExecuteInput,
  WorkflowInboundCallsInterceptor,
  WorkflowInterceptors,
  WorkflowOutboundCallsInterceptor,
} from '@temporalio/workflow';

/** The header that carries the W3C trace context; the client's and the activities' interceptors use the same name. */
const TRACEPARENT = 'traceparent';

type Headers = WorkflowExecuteInput['headers'];

/** Hands the trace that started the workflow on to its activities. Carries context only: no SDK runs in the sandbox. */
class TraceCarrier implements WorkflowInboundCallsInterceptor, WorkflowOutboundCallsInterceptor {
  #carried: Headers = {};

  execute(input: WorkflowExecuteInput, next: Next<WorkflowInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    const payload = input.headers[TRACEPARENT];
    if (payload && typeof defaultPayloadConverter.fromPayload(payload) === 'string') {
      this.#carried = { [TRACEPARENT]: payload };
    }
    return next(input);
  }

  scheduleActivity(
    input: ActivityInput,
    next: Next<WorkflowOutboundCallsInterceptor, 'scheduleActivity'>,
  ): Promise<unknown> {
    return next({ ...input, headers: { ...input.headers, ...this.#carried } });
  }

  scheduleLocalActivity(
    input: LocalActivityInput,
    next: Next<WorkflowOutboundCallsInterceptor, 'scheduleLocalActivity'>,
  ): Promise<unknown> {
    return next({ ...input, headers: { ...input.headers, ...this.#carried } });
  }
}

/** Temporal looks for this name in the modules that the worker registers as workflow interceptors. */
export function interceptors(): WorkflowInterceptors {
  const carrier = new TraceCarrier();
  return { inbound: [carrier], outbound: [carrier] };
}
