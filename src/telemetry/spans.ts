import { DomainFailure } from '../domain/failures.ts';
import type { SpanAttribute, SpanKind } from './span-names.ts';
import { currentTraceparent, newTraceparent, withTraceparent } from './trace-context.ts';

/** What is undefined is left out. */
export type SpanAttributes = { readonly [Name in SpanAttribute]?: string | number | boolean | undefined };

export interface SpanOptions {
  /** `internal` if absent. */
  readonly kind?: SpanKind;
  readonly attributes?: SpanAttributes;
  /** Traceparents of what has to do with it and is not its cause. */
  readonly links?: readonly string[];
  /** A traceparent; if absent the current one, and where there is none either, it begins a trace. */
  readonly parent?: string | undefined;
  /** It begins a trace, whatever is current. */
  readonly root?: boolean;
}

/** One thing that is done, from `begin` to `end`. Says what and how long, never about whom. */
export interface Span {
  /** What is done within it is its child. */
  readonly traceparent: string;
  note(attributes: SpanAttributes): void;
  rename(name: string): void;
  /** It failed, whether anything was thrown or not: `errorType` is a code or a class, never words about the case. */
  fail(errorType: string): void;
  /** Nothing can be said of it any more. */
  end(): void;
}

export interface Tracing {
  begin(name: string, options?: SpanOptions): Span;
  /** Runs `work` within a span of its own, which is the current one for all that it awaits, and tells how it ended. */
  span<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** What took `durationMs` and is over now; nothing where no trace is recorded, so that no poll fills a store. */
  past(
    name: string,
    durationMs: number,
    describe: () => SpanOptions & { readonly errorType?: string | undefined },
  ): void;
  /** Sends what is left, for a few seconds at most. Never rejects. */
  stop(): Promise<void>;
}

/** Records nothing. Trace ids exist all the same: they are in the log, in events and in what providers are sent. */
export const noTracing: Tracing = {
  begin: (_name, options = {}) => unrecorded(aboveOf(options) ?? newTraceparent()),
  span: (name, options, work) => within(noTracing.begin(name, options), work),
  past: () => undefined,
  stop: () => Promise.resolve(),
};

const nothing = (): void => undefined;

export function unrecorded(traceparent: string): Span {
  return { traceparent, note: nothing, rename: nothing, fail: nothing, end: nothing };
}

/** The traceparent that a span belongs under; undefined for one that begins a trace. */
export function aboveOf({ parent, root = false }: SpanOptions): string | undefined {
  return root ? undefined : (parent ?? currentTraceparent());
}

/** Runs `work` with `span` as the current one, and ends it. */
export async function within<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await withTraceparent(span.traceparent, () => work(span));
  } catch (error) {
    const errorType = errorTypeOf(error);
    // Somebody did not want it any more: that is no failure.
    if (errorType === 'CancelledFailure') span.note({ 'evenkeel.cancelled': true });
    else span.fail(errorType);
    throw error;
  } finally {
    span.end();
  }
}

const word = /^[\w.-]{1,60}$/;

/**
 * What kind of failure it is: our own code, Temporal's type (which is our code too), or the error's class. Never its
 * message, which may quote what is secret or personal.
 */
export function errorTypeOf(error: unknown): string {
  if (error instanceof DomainFailure) return error.code;
  if (!(error instanceof Error)) return '_OTHER';
  const type = 'type' in error && typeof error.type === 'string' ? error.type : error.name;
  return word.test(type) ? type : '_OTHER';
}

/** The order whose workflow or step this id is; undefined for anything else's. See `workflowIdOf` and `stepKey`. */
export function orderIdOf(workflowIdOrKey: string): string | undefined {
  return /^order-([0-9a-f-]{36})(?::|$)/.exec(workflowIdOrKey)?.[1];
}

/** How the business answered, where the answer says so: `declined` is no failure, and yet what one looks for. */
export function outcomeOf(answer: unknown): string | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  if ('outcome' in answer && typeof answer.outcome === 'string') return answer.outcome;
  return 'verdict' in answer && typeof answer.verdict === 'string' ? answer.verdict : undefined;
}
