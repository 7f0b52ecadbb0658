import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { Identity, Permission } from '../domain/access.ts';
import type { AuditEntry } from '../domain/access-ports.ts';
import { DomainFailure } from '../domain/failures.ts';
import type { Priority } from '../domain/overload-ports.ts';
import type { Log, LogFields } from '../telemetry/log.ts';
import { jsonOf } from './body.ts';
import type { ProblemCode } from './problems.ts';
import { type Place, validate } from './validate.ts';

export type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';

/** The groups of the document, in its order. */
export const tags = [
  'Orders',
  'Events',
  'Consumers',
  'Dead letters',
  'Catalog',
  'Callbacks',
  'Access',
  'Operations',
] as const;

/**
 * Who may use a route:
 * - a permission: whoever has it
 * - `public`: anybody, since it tells nothing
 * - `signed`: whoever signed the body, which the route itself verifies
 */
export type Access = Permission | 'public' | 'signed';

/** What a handler may know of its request beside the validated input. */
export interface RequestContext {
  /** Whom it comes from; nobody with a permission where the route is public or signed. */
  readonly identity: Identity;
  /** Of an audited action: the id of its record, committed before the handler is called. Throws for any other. */
  readonly auditId: string;
  readonly log: Log;
  /** Fires when the caller goes away or the server stops: give up waiting. */
  readonly signal: AbortSignal;
  /** Puts fields into the request's log line. */
  note(fields: LogFields): void;
}

/** The context with what only the route itself may do. */
export interface RunContext extends RequestContext {
  /** Writes that the action is allowed and about to begin, or that it is refused. */
  audit(outcome: AuditEntry['outcome'], reason: string | null): Promise<void>;
}

export interface Answer<Status extends number = number> {
  readonly status: Status;
  readonly headers?: Readonly<Record<string, string>>;
  /** Absent: no body. `json` is serialized; `bytes` are sent as they are. */
  readonly json?: unknown;
  readonly bytes?: string | Buffer;
}

export interface DocumentedAnswer {
  readonly description: string;
  /** A named schema; absent for no body or one that is not JSON. */
  readonly schema?: z.ZodType;
  /** Default `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RawRequest {
  readonly path: Readonly<Record<string, unknown>>;
  readonly query: unknown;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Documentation {
  readonly method: Method;
  /** In OpenAPI's form: `/v1/orders/{id}`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: (typeof tags)[number];
  readonly summary: string;
  readonly description?: string;
  readonly access: Access;
  /** Every use is written into the audit log before it happens, and every refusal. Not with `public` or `signed`. */
  readonly audited?: boolean;
  /**
   * Why it is done is kept with what it is done to, and not in the audit log too: these may be a customer's own words,
   * and who is forgotten is not forgotten by that log.
   */
  readonly keepsReason?: boolean;
  /** Default: `background` for GET, `critical` for what is audited, `normal` for the rest. */
  readonly priority?: Priority;
  /** Problems beyond those that follow from the parts of the request. */
  readonly problems?: readonly ProblemCode[];
}

/** A route as the router and the OpenAPI document see it. */
export interface Route extends Documentation {
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  readonly headers: z.ZodObject;
  readonly body: z.ZodType | undefined;
  readonly bodyOptional: boolean;
  readonly answers: Readonly<Record<number, DocumentedAnswer>>;
  readonly problems: readonly ProblemCode[];
  run(raw: RawRequest, context: RunContext): Promise<Answer>;
}

interface Definition<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  H extends z.ZodObject,
  B extends z.ZodType,
  Status extends number,
> extends Documentation {
  readonly params?: P;
  readonly query?: Q;
  /** Names in lower case; headers not named here are nobody's business. */
  readonly headers?: H;
  readonly body?: B;
  /** An empty body stands for `{}`. */
  readonly bodyOptional?: boolean;
  readonly answers: Readonly<Record<Status, DocumentedAnswer>>;
  /** Proves who sent the bytes, before anything of them is read. */
  authenticate?(raw: RawRequest): void;
  /** Throws where this caller may not touch what the path names: that is in the audit log as refused. */
  permit?(params: z.output<P>, context: RequestContext): Promise<void>;
  handle(
    input: {
      readonly params: z.output<P>;
      readonly query: z.output<Q>;
      readonly headers: z.output<H>;
      readonly body: z.output<B>;
    },
    context: RequestContext,
  ): Promise<Answer<Status>>;
}

const nothing = z.strictObject({});
type Nothing = typeof nothing;

/**
 * Makes a route from its description: only what is described is let in, and a handler can only answer with a status
 * that is documented.
 */
export function route<
  Status extends number,
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  H extends z.ZodObject = Nothing,
  B extends z.ZodType = Nothing,
>(definition: Definition<P, Q, H, B, Status>): Route {
  const { params, query, headers, body, bodyOptional = false } = definition;
  // A path that cannot name anything names nothing; but who puts something there is told why it cannot be.
  const badPath: ProblemCode = definition.method === 'put' ? 'invalid_input' : 'not_found';
  return {
    ...definition,
    params: params ?? nothing,
    query: query ?? nothing,
    headers: headers ?? z.object({}),
    body,
    bodyOptional,
    problems: [
      ...new Set([
        ...(params ? [badPath, 'malformed_path' as const] : []),
        'invalid_query' as const,
        ...(headers ? (['invalid_header'] as const) : []),
        ...(body ? (['malformed_json', 'unsupported_media_type', 'body_too_large', 'invalid_input'] as const) : []),
        ...(definition.problems ?? []),
        ...accessProblems(definition),
        'internal_error' as const,
      ]),
    ],
    async run(raw, context) {
      const input = {
        params: part(params, raw.path, 'path', badPath),
        query: part(query, raw.query, 'query', 'invalid_query'),
        headers: part(headers, headers ? raw.headers : {}, 'header', headerProblem(raw.headers, headers)),
      };
      definition.authenticate?.(raw);
      const json = body && !(bodyOptional && raw.body.length === 0) ? jsonOf(raw.body, raw.headers) : {};
      const all = { ...input, body: part(body, json, 'body', 'invalid_input') };
      await definition.permit?.(input.params, context).catch(async (error: unknown) => {
        if (definition.audited === true && isRefusal(error)) await context.audit('denied', null);
        throw error;
      });
      if (definition.audited === true) {
        const reason = definition.keepsReason === true ? null : (reasonIn(all.body) ?? reasonIn(all.query));
        await context.audit('allowed', reason);
      }
      return definition.handle(all, context);
    },
  };
}

/** And not that it could not be found out. */
function isRefusal(error: unknown): boolean {
  return error instanceof DomainFailure && (error.code === 'not_found' || error.code === 'forbidden');
}

/** Why somebody does something, where the route asks for it. */
function reasonIn(input: unknown): string | null {
  if (typeof input !== 'object' || input === null || !('reason' in input)) return null;
  return typeof input.reason === 'string' ? input.reason : null;
}

function accessProblems({ access }: { readonly access: Access }): readonly ProblemCode[] {
  if (access === 'public' || access === 'signed') return [];
  return ['unauthenticated', 'forbidden', 'rate_limited', 'overloaded', 'store_unavailable', 'identity_unavailable'];
}

/** Validates a part of the request; where the route has no schema for it, the generic says so too and nothing may stand there. */
function part<S extends z.ZodType>(
  schema: S | undefined,
  value: unknown,
  place: Place,
  code: ProblemCode,
): z.output<S> {
  return validate(schema ?? nothing, value, place, code) as z.output<S>;
}

/** The missing key has a code of its own, for it is what a client's author meets first. */
function headerProblem(headers: IncomingHttpHeaders, schema: z.ZodObject | undefined): ProblemCode {
  const wanted = schema !== undefined && 'idempotency-key' in schema.shape;
  return wanted && headers['idempotency-key'] === undefined ? 'idempotency_key_missing' : 'invalid_header';
}

/** Nobody: what a request without a proved identity counts as. */
export const nobody: Identity = { caller: 'nobody', roles: [] };
