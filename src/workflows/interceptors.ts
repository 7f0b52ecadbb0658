import { type Headers, type Payload, defaultPayloadConverter } from '@temporalio/common';
import type {
  Next,
  TimerInput,
  WorkflowExecuteInput,
  WorkflowInboundCallsInterceptor,
  WorkflowInterceptors,
  WorkflowOutboundCallsInterceptor,
} from '@temporalio/workflow';
import type { Considered } from './considered.ts';

/** The header that carries the W3C trace context; the client's and the activities' interceptors use the same names. */
const TRACEPARENT = 'traceparent';
/** The context that the workflow began with, where what happens now has another cause. */
const FIRST_TRACEPARENT = 'evenkeel-first-traceparent';

/**
 * A step that is told to wait before it tries again waits no longer than this, and goes on in its trace. After a longer
 * wait something new begins.
 */
const LONGEST_WAIT_WITHIN_MS = 10 * 60_000;

type Inbound = WorkflowInboundCallsInterceptor;
type Outbound = WorkflowOutboundCallsInterceptor;

/**
 * Hands the context of what the workflow was told last on to its activities: its start, then each signal and update;
 * after a long timer there is none, and the activities begin traces of their own. Beside it goes the context that the
 * workflow began with, to link to. Carries texts only: no SDK runs in the sandbox, and no promise of the SDK is
 * replaced or waited for, so that nothing resolves in another turn than without it.
 */
function carrier(): { readonly inbound: Inbound; readonly outbound: Outbound } {
  let first: Payload | undefined;
  let latest: Payload | undefined;

  const carried = (): Headers => ({
    ...(latest === undefined ? {} : { [TRACEPARENT]: latest }),
    ...(first === undefined || first === latest ? {} : { [FIRST_TRACEPARENT]: first }),
  });
  const withCarried = <Input extends { readonly headers: Headers }>(input: Input): Input => ({
    ...input,
    headers: { ...input.headers, ...carried() },
  });

  const inbound: Considered<Inbound> = {
    execute(input: WorkflowExecuteInput, next: Next<Inbound, 'execute'>) {
      latest = textIn(input.headers, TRACEPARENT);
      first = textIn(input.headers, FIRST_TRACEPARENT) ?? latest;
      return next(input);
    },
    handleSignal(input, next) {
      latest = textIn(input.headers, TRACEPARENT);
      return next(input);
    },
    handleUpdate(input, next) {
      latest = textIn(input.headers, TRACEPARENT);
      return next(input);
    },
    // What is only checked, or asked, causes nothing.
    validateUpdate: undefined,
    handleQuery: undefined,
  };
  const outbound: Considered<Outbound> = {
    scheduleActivity: (input, next) => next(withCarried(input)),
    scheduleLocalActivity: (input, next) => next(withCarried(input)),
    startChildWorkflowExecution: (input, next) => next(withCarried(input)),
    signalWorkflow: (input, next) => next(withCarried(input)),
    startTimer(input: TimerInput, next: Next<Outbound, 'startTimer'>) {
      const fired = next(input);
      if (input.durationMs > LONGEST_WAIT_WITHIN_MS) {
        // Before whoever waits for it goes on, since this was first to ask.
        fired.then(
          () => (latest = undefined),
          () => undefined,
        );
      }
      return fired;
    },
    // The next run is a new beginning, or a trouble of days would be one trace.
    continueAsNew: (input, next) =>
      next(first === undefined ? input : { ...input, headers: { ...input.headers, [FIRST_TRACEPARENT]: first } }),
    // There are none.
    startNexusOperation: undefined,
    // The SDK's own log and metrics know the workflow by its id.
    getLogAttributes: undefined,
    getMetricTags: undefined,
  };
  return { inbound: inbound as Inbound, outbound: outbound as Outbound };
}

function textIn(headers: Headers, name: string): Payload | undefined {
  const payload = headers[name];
  return payload && typeof defaultPayloadConverter.fromPayload(payload) === 'string' ? payload : undefined;
}

/** Temporal looks for this name in the modules that the worker registers as workflow interceptors. */
export function interceptors(): WorkflowInterceptors {
  const { inbound, outbound } = carrier();
  return { inbound: [inbound], outbound: [outbound] };
}
