import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { ROOT_CONTEXT, SpanKind as Kind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Log } from './log.ts';
import type { SpanKind } from './span-names.ts';
import { type Span, type SpanAttributes, type Tracing, aboveOf, noTracing, unrecorded, within } from './spans.ts';
import { currentTraceparent, formatTraceparent, newSpanId, newTraceId, parseTraceparent } from './trace-context.ts';

export interface TracingOptions {
  /** Where an OTLP receiver listens, by HTTP: `http://127.0.0.1:4318`. Undefined: nothing is recorded. */
  readonly endpoint: string | undefined;
  /** Of the traces that begin here, from 0 to 1. What goes on from a recorded one is recorded. */
  readonly ratio: number;
  /** Which program this is, as a trace's reader will see it: `evenkeel-api`. */
  readonly service: string;
  readonly version: string;
  readonly log: Log;
  /** How long spans are gathered before they are sent, in milliseconds. Default 5 s. */
  readonly sendEveryMs?: number;
}

/** Spans that wait to be sent; what is more than that while the receiver is away is dropped. Some 10 MiB at most. */
const QUEUE = 8_192;
const BATCH = 512;
/** A trace is seen this long after it happened; sooner would cost more, since most of the cost is in each sending. */
const SEND_EVERY_MS = 5_000;
/** For one batch, tries again included. */
const SEND_TIMEOUT_MS = 3_000;
/** At the end, for all that is left. */
const STOP_MS = 4_000;

const kinds: Readonly<Record<SpanKind, Kind>> = {
  internal: Kind.INTERNAL,
  server: Kind.SERVER,
  client: Kind.CLIENT,
  producer: Kind.PRODUCER,
  consumer: Kind.CONSUMER,
};

/**
 * Records spans and sends them in batches, beside the work. OpenTelemetry's SDK makes and sends them; whose child a span
 * is comes from our own trace context, and no global of the SDK is set. A receiver that is away costs spans and nothing
 * else, and is logged once.
 */
export function startTracing(options: TracingOptions): Tracing {
  const { endpoint, ratio, service, version, log, sendEveryMs = SEND_EVERY_MS } = options;
  if (endpoint === undefined) return noTracing;
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  const exporter = toldOnce(new OTLPTraceExporter({ url, timeoutMillis: SEND_TIMEOUT_MS }), log);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'evenkeel',
      'service.name': service,
      'service.version': version,
      'service.instance.id': `${hostname()}:${process.pid}`,
    }),
    idGenerator: { generateTraceId: newTraceId, generateSpanId: newSpanId },
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: QUEUE,
        maxExportBatchSize: BATCH,
        scheduledDelayMillis: sendEveryMs,
        exportTimeoutMillis: SEND_TIMEOUT_MS + 1_000,
      }),
    ],
  });
  const { begin, past } = recorder(provider.getTracer('evenkeel', version));
  return {
    begin,
    past,
    span: (name, how, work) => within(begin(name, how), work),
    async stop() {
      const over = new AbortController();
      const timeUp = delay(STOP_MS, undefined, { signal: over.signal }).catch(() => undefined);
      await Promise.race([provider.shutdown().catch(() => undefined), timeUp]);
      over.abort();
    },
  };
}

function recorder(tracer: Tracer): Pick<Tracing, 'begin' | 'past'> {
  const start = (name: string, startTime: number, options: Parameters<Tracing['begin']>[1] = {}) => {
    const { kind = 'internal', attributes = {}, links = [] } = options;
    const above = aboveOf(options);
    const parent = above === undefined ? undefined : spanContextOf(above);
    // The whole of a trace is recorded, or nothing of it.
    if (above !== undefined && parent?.traceFlags === 0) return { traceparent: above };
    const span = tracer.startSpan(
      name,
      {
        kind: kinds[kind],
        attributes: present(attributes),
        links: links.map(spanContextOf).flatMap((context) => (context === undefined ? [] : [{ context }])),
        startTime,
      },
      parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    );
    const { traceId, spanId, traceFlags } = span.spanContext();
    const traceparent = formatTraceparent({ traceId, spanId, sampled: traceFlags === 1 });
    return span.isRecording() ? { traceparent, span } : { traceparent };
  };
  return {
    begin(name, options): Span {
      const { traceparent, span } = start(name, now(), options);
      if (span === undefined) return unrecorded(traceparent);
      return {
        traceparent,
        note: (attributes) => void span.setAttributes(present(attributes)),
        rename: (newName) => void span.updateName(newName),
        fail: (errorType) => failed(span, errorType),
        end: () => span.end(now()),
      };
    },
    past(name, durationMs, describe) {
      if (currentTraceparent()?.endsWith('01') !== true) return;
      const { errorType, ...options } = describe();
      const endedAt = now();
      const { span } = start(name, endedAt - durationMs, options);
      if (span === undefined) return;
      if (errorType !== undefined) failed(span, errorType);
      span.end(endedAt);
    },
  };
}

function failed(span: ReturnType<Tracer['startSpan']>, errorType: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: errorType });
  span.setAttribute('error.type', errorType);
  span.addEvent('exception', { 'exception.type': errorType }, now());
}

function spanContextOf(traceparent: string) {
  const context = parseTraceparent(traceparent);
  if (context === undefined) return undefined;
  const { traceId, spanId, sampled } = context;
  return { traceId, spanId, traceFlags: sampled ? 1 : 0, isRemote: true };
}

function present(attributes: SpanAttributes): Record<string, string | number | boolean> {
  const told: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) told[name] = value;
  return told;
}

/** The wall clock may be set; by less than this it only differs from ours in the fractions that it does not have. */
const CLOCK_STEP_MS = 5;
let clockOrigin = performance.timeOrigin;

/** Milliseconds since 1970 with fractions: what began later in this process is later, unless the clock was set. */
function now(): number {
  const elapsed = performance.now();
  const wall = Date.now();
  const isStepped = Math.abs(wall - clockOrigin - elapsed) > CLOCK_STEP_MS;
  // Not what only looks so, because the process had to wait between the two clocks.
  if (isStepped && performance.now() - elapsed < 1) clockOrigin = wall - elapsed;
  return clockOrigin + elapsed;
}

/** Says that spans cannot be sent when that begins, and that they can again when it ends. */
function toldOnce(exporter: SpanExporter, log: Log): SpanExporter {
  let lost = 0;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failure = result.error;
        if (failure === undefined && lost > 0) {
          log.info({ spans: lost }, 'traces can be sent again; at least these spans were lost');
          lost = 0;
        } else if (failure !== undefined) {
          if (lost === 0) log.warn({ err: failure }, 'traces cannot be sent: spans are lost until they can');
          lost += spans.length;
        }
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  };
}
