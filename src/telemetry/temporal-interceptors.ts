import type { Context } from '@temporalio/activity';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import {
  ApplicationFailure,
  ApplicationFailureCategory,
  CancelledFailure,
  type Headers,
  defaultPayloadConverter,
} from '@temporalio/common';
import type { ActivityInboundCallsInterceptor, ActivityInterceptors } from '@temporalio/worker';
import type { Considered } from '../workflows/considered.ts';
import type { Log } from './log.ts';
import { type SpanAttributes, type Tracing, noTracing, orderIdOf, outcomeOf } from './spans.ts';

/** As the workflow's interceptors call them: who caused this, and the trace that the workflow began with. */
const TRACEPARENT = 'traceparent';
const FIRST_TRACEPARENT = 'evenkeel-first-traceparent';

/** A span for each thing that a workflow is told, whose context goes along in a header. */
export function clientInterceptor(tracing: Tracing): WorkflowClientInterceptor {
  const tell = <T>(
    what: string,
    workflowId: string | undefined,
    send: (headers: Headers) => Promise<T>,
  ): Promise<T> => {
    const attributes = aboutWorkflow(workflowId);
    return tracing.span(what, { kind: 'client', attributes }, ({ traceparent }) =>
      send({ [TRACEPARENT]: defaultPayloadConverter.toPayload(traceparent) }),
    );
  };
  const hooks: Considered<WorkflowClientInterceptor> = {
    startWithDetails: (input, next) =>
      tell(`start ${input.workflowType}`, input.options.workflowId, (headers) =>
        next({ ...input, headers: { ...input.headers, ...headers } }),
      ),
    signal: (input, next) =>
      tell(`signal ${input.signalName}`, input.workflowExecution.workflowId ?? undefined, (headers) =>
        next({ ...input, headers: { ...input.headers, ...headers } }),
      ),
    signalWithStart: (input, next) =>
      tell(`signal ${input.signalName}`, input.options.workflowId, (headers) =>
        next({ ...input, headers: { ...input.headers, ...headers } }),
      ),
    startUpdate: (input, next) =>
      tell(`update ${input.updateName}`, input.workflowExecution.workflowId ?? undefined, (headers) =>
        next({ ...input, headers: { ...input.headers, ...headers } }),
      ),
    startUpdateWithStart: (input, next) =>
      tell(`update ${input.updateName}`, input.workflowStartOptions.workflowId, (headers) =>
        next({
          ...input,
          workflowStartHeaders: { ...input.workflowStartHeaders, ...headers },
          updateHeaders: { ...input.updateHeaders, ...headers },
        }),
      ),
    // The deprecated form of startWithDetails: with both, a start would be two.
    start: undefined,
    // What only looks causes nothing.
    query: undefined,
    describe: undefined,
    // Temporal takes no headers with these.
    cancel: undefined,
    terminate: undefined,
  };
  return hooks as WorkflowClientInterceptor;
}

/**
 * Runs each activity attempt in a span of its own, below whatever caused it: the request that the order came by, or the
 * callback, cancellation or decision that the workflow heard last; then it is linked to the trace that the order began
 * with. Logs the attempts that fail: once, with what to search for.
 */
export function activityInterceptors(
  log: Log,
  tracing: Tracing = noTracing,
): (context: Context) => ActivityInterceptors {
  return ({ info }) => {
    const { activityType, attempt, isLocal, workflowExecution } = info;
    const { workflowId } = workflowExecution ?? {};
    const inbound: Considered<ActivityInboundCallsInterceptor> = {
      execute(input, next) {
        const cause = textOf(input.headers, TRACEPARENT);
        const first = textOf(input.headers, FIRST_TRACEPARENT);
        const options = {
          attributes: {
            ...aboutWorkflow(workflowId),
            ...aboutInput(input.args[0]),
            'evenkeel.activity.attempt': attempt,
            'evenkeel.activity.local': isLocal,
          },
          links: first === undefined || first === cause ? [] : [first],
          parent: cause,
          root: cause === undefined,
        };
        return tracing.span(`activity ${activityType}`, options, async (span) => {
          try {
            const result = await next(input);
            span.note({ 'evenkeel.outcome': outcomeOf(result) });
            return result;
          } catch (error) {
            const about = { activityType, attempt, isLocal, workflowId };
            if (isBenign(error)) log.info({ code: error.type, ...about }, 'activity attempt was not made for now');
            else if (!(error instanceof CancelledFailure))
              log.warn({ err: error, ...about }, 'activity attempt failed');
            throw error;
          }
        });
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

function textOf(headers: Headers, name: string): string | undefined {
  const payload = headers[name];
  const text: unknown = payload && defaultPayloadConverter.fromPayload(payload);
  return typeof text === 'string' ? text : undefined;
}

function aboutWorkflow(workflowId: string | undefined): SpanAttributes {
  return { 'evenkeel.workflow.id': workflowId, 'evenkeel.order.id': workflowId && orderIdOf(workflowId) };
}

/** Of what a step is given: which step it is, and of what. */
function aboutInput(input: unknown): SpanAttributes {
  const given = typeof input === 'object' && input !== null ? (input as Readonly<Record<string, unknown>>) : {};
  const id = (name: string): string | undefined => {
    const value = given[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    'evenkeel.step.key': id('key'),
    'evenkeel.fulfillment.id': id('fulfillmentId'),
    'evenkeel.consumer.id': id('consumerId'),
    'evenkeel.redrive.id': id('redriveId'),
  };
}

/** A guard's refusal: expected, and said by the guard itself when it begins. */
function isBenign(error: unknown): error is ApplicationFailure {
  return error instanceof ApplicationFailure && error.category === ApplicationFailureCategory.BENIGN;
}
