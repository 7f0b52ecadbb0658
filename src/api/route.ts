import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { Log, LogFields } from '../telemetry/log.ts';
import { jsonOf } from './body.ts';
import type { ProblemCode } from './problems.ts';
import { type Place, validate } from './validate.ts';

export type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';

/** The groups of the document, in its order. */
export const tags = ['Orders', 'Events', 'Consumers', 'Dead letters', 'Catalog', 'Callbacks', 'Operations'] as const;

/** What a handler may know of its request beside the validated input. */
export interface RequestContext {
  readonly log: Log;
  /** Fires when the caller goes away or the server stops: give up waiting. */
  readonly signal: AbortSignal;
  /** Puts fields into the request's log line. */
  note(fields: LogFields): void;
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
  run(raw: RawRequest, context: RequestContext): Promise<Answer>;
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
      return definition.handle({ ...input, body: part(body, json, 'body', 'invalid_input') }, context);
    },
  };
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
