import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { DomainFailure } from '../domain/failures.ts';
import { type Answer, type RequestContext, type Route, route } from './route.ts';
import { named } from './schemas.ts';

/** A payload as Temporal keeps it. */
export interface KeptPayload {
  metadata?: Record<string, Uint8Array> | null;
  data?: Uint8Array | null;
}

export interface PayloadPort {
  /** Whose payloads these are; there is no other. */
  readonly namespace: string;
  readonly encode: (payloads: KeptPayload[]) => Promise<KeptPayload[]>;
  /** Rejects, saying why, where one cannot be decrypted. */
  readonly decode: (payloads: KeptPayload[]) => Promise<KeptPayload[]>;
}

/** What the routes of the codec server need from outside. */
export interface CodecDeps {
  readonly payloads: PayloadPort;
}

/** Both alphabets, padded or not, as JSON of protocol buffers has it. */
const base64 = z.string().regex(/^[\w+/-]*={0,2}$/, 'must be base64');

/** Fields that we do not know are the web interface's own. */
const payloadList = z.object({
  payloads: z
    .array(z.object({ metadata: z.record(z.string().max(200), base64).default({}), data: base64.default('') }))
    .max(10_000),
});
named.add(payloadList, { id: 'Payloads' });
type PayloadList = z.output<typeof payloadList>;

const headers = z.object({ 'x-namespace': z.string().optional().describe("Temporal's namespace, where it is said") });

/**
 * The codec server, by which Temporal's Web UI and command line show what is encrypted. Each use is a line in the log,
 * with its caller, and none is in the audit log: the page of one workflow asks for hundreds, and would bury what people
 * did.
 */
export function codecRoutes({ payloads }: CodecDeps): readonly Route[] {
  const described = {
    method: 'post',
    access: 'payloads:decode',
    // People who look wait, and orders do not.
    priority: 'background',
    tag: 'Operations',
    headers,
    body: payloadList,
    answers: { 200: { description: 'The same payloads, in the same order', schema: payloadList } },
  } as const;
  const run = async (
    work: PayloadPort['decode'],
    input: { readonly headers: z.output<typeof headers>; readonly body: PayloadList },
    context: RequestContext,
  ): Promise<Answer<200>> => {
    requireOurs(input.headers['x-namespace'], payloads.namespace);
    context.note({ payloads: input.body.payloads.length });
    return { status: 200, json: toJson(await work(fromJson(input.body))) };
  };
  return [
    route({
      ...described,
      path: '/codec/decode',
      operationId: 'decodePayloads',
      summary: "Decrypt payloads, for Temporal's Web UI and command line",
      problems: ['conflict'],
      handle: (input, context) => run(decoded(payloads), input, context),
    }),
    route({
      ...described,
      path: '/codec/encode',
      operationId: 'encodePayloads',
      summary: "Encrypt payloads, for Temporal's command line",
      handle: (input, context) => run(payloads.encode, input, context),
    }),
  ];
}

function requireOurs(asked: string | undefined, ours: string): void {
  if (asked === undefined || asked === ours) return;
  throw new DomainFailure('forbidden', `the namespace here is '${ours}'; got ${JSON.stringify(asked.slice(0, 100))}`);
}

/** What cannot be decrypted is no mistake of ours: it says which key is missing. */
function decoded({ decode }: PayloadPort): PayloadPort['decode'] {
  return async (kept) => {
    try {
      return await decode(kept);
    } catch (error) {
      throw new DomainFailure('conflict', error instanceof Error ? error.message : String(error), { cause: error });
    }
  };
}

function fromJson({ payloads }: PayloadList): KeptPayload[] {
  return payloads.map(({ metadata, data }) => ({
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')])),
    data: Buffer.from(data, 'base64'),
  }));
}

function toJson(payloads: readonly KeptPayload[]): PayloadList {
  return {
    payloads: payloads.map(({ metadata, data }) => ({
      metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, base64Of(value)])),
      data: base64Of(data),
    })),
  };
}

function base64Of(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString('base64');
}

/** How long a browser need not ask again. */
const PREFLIGHT_SECONDS = 600;

/**
 * Lets pages of these origins, and of no other, use what it stands before. A preflight comes without credentials and is
 * answered as such. Without cookies: who asks is said by the token.
 */
export function codecCors(origins: readonly string[]): RequestHandler {
  return (request: Request, response: Response, next: NextFunction) => {
    response.vary('Origin');
    const { origin } = request.headers;
    const listed = origin !== undefined && origins.includes(origin);
    if (listed) response.setHeader('access-control-allow-origin', origin);
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return next();
    if (listed) {
      response.setHeader('access-control-allow-methods', 'POST');
      response.setHeader('access-control-allow-headers', 'authorization, content-type, x-namespace');
      response.setHeader('access-control-max-age', String(PREFLIGHT_SECONDS));
    }
    // To a browser the missing headers say no; the status is for people.
    response.status(listed ? 204 : 403).end();
  };
}
