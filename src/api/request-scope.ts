import type { Request, Response } from 'express';
import type { Log, LogFields } from '../telemetry/log.ts';
import { noTracing } from '../telemetry/spans.ts';
import { parseTraceparent, withTraceparent } from '../telemetry/trace-context.ts';
import type { ApiDeps } from './deps.ts';
import { type RunContext, nobody } from './route.ts';
import type { Identity } from '../domain/access.ts';
import type { AuditEntry } from '../domain/access-ports.ts';

/** Asked every few seconds by whoever keeps the process alive: traces of these would bury the others. */
const probes: ReadonlySet<string> = new Set(['/livez', '/readyz']);

/** One request from its first byte to its line in the log. */
export class RequestScope implements RunContext {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A root of its own: what comes from outside is not trusted, only linked and named in the log. */
  readonly traceparent: string;
  /** The route's path as documented; undefined for none of ours. */
  route: string | undefined;
  identity: Identity = nobody;
  /** The entry that an audited action is written as; set once its caller is known. */
  entry: Omit<AuditEntry, 'outcome' | 'reason'> | undefined;
  #auditId: string | undefined;
  #fields: LogFields = {};
  readonly #deps: Pick<ApiDeps, 'auditLog'>;

  constructor(
    request: Request,
    response: Response,
    deps: Pick<ApiDeps, 'auditLog' | 'log' | 'draining' | 'answered' | 'tracing'>,
  ) {
    this.#deps = deps;
    const startedAt = performance.now();
    const gone = new AbortController();
    const outside = request.get('traceparent');
    const linked = outside === undefined ? undefined : parseTraceparent(outside);
    const { tracing = noTracing } = deps;
    const span = (probes.has(request.path) ? noTracing : tracing).begin(request.method, {
      kind: 'server',
      root: true,
      attributes: { 'http.request.method': request.method, 'url.scheme': request.protocol },
      links: outside === undefined || linked === undefined ? [] : [outside],
    });
    this.traceparent = span.traceparent;
    this.log = deps.log;
    this.signal = deps.draining ? AbortSignal.any([gone.signal, deps.draining]) : gone.signal;
    response.once('close', () => {
      gone.abort();
      const answered = {
        method: request.method,
        route: this.route ?? '(none)',
        status: response.headersSent ? response.statusCode : null,
        durationMs: Math.round((performance.now() - startedAt) * 10) / 10,
      };
      const line: LogFields = {
        ...answered,
        ...(response.writableFinished ? {} : { aborted: true }),
        ...(linked ? { linkedTraceId: linked.traceId, linkedSpanId: linked.spanId } : {}),
        ...orderOf(request, this.route),
        ...(this.identity === nobody ? {} : { caller: this.identity.caller }),
        ...(this.#auditId === undefined ? {} : { auditId: this.#auditId }),
        ...this.#fields,
      };
      withTraceparent(this.traceparent, () => {
        this.log.info(line, 'request');
        deps.answered?.(answered);
      });
      const { orderId } = line;
      // Paths and queries may say who somebody is; the route does not.
      span.rename(`${answered.method} ${answered.route}`);
      span.note({
        'http.route': this.route,
        'http.response.status_code': answered.status ?? undefined,
        'evenkeel.order.id': typeof orderId === 'string' ? orderId : undefined,
      });
      if (answered.status !== null && answered.status >= 500) span.fail(String(answered.status));
      span.end();
    });
  }

  get auditId(): string {
    if (this.#auditId === undefined) throw new Error('only an audited route has a record in the audit log');
    return this.#auditId;
  }

  async audit(outcome: AuditEntry['outcome'], reason: string | null): Promise<void> {
    if (this.entry === undefined) throw new Error('an audited route was run before its caller was known');
    this.#auditId = await this.#deps.auditLog.write({ ...this.entry, outcome, reason });
  }

  get fields(): LogFields {
    return this.#fields;
  }

  note(fields: LogFields): void {
    this.#fields = { ...this.#fields, ...fields };
  }
}

function orderOf(request: Request, route: string | undefined): LogFields {
  const { id } = request.params;
  return route?.startsWith('/v1/orders/{id}') === true && typeof id === 'string' ? { orderId: id } : {};
}
