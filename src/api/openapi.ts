import { z } from 'zod';
import { webhookSchemas, webhooks } from './openapi-webhooks.ts';
import { type ProblemCode, problemStatus, problemTitle, problemType, saysWhenToRetry } from './problems.ts';
import { type DocumentedAnswer, type Route, tags } from './route.ts';
import { named } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Writes the OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html) of `routes` from the schemas that
 * validate their requests. Throws for an answer or a body whose schema has no name in `named`: it would be a bug here.
 */
export function openapiDocument(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const described of routes) (paths[described.path] ??= {})[described.method] = operation(described);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Evenkeel',
      version,
      description:
        'Order processing that always finishes. Amounts are integers in minor units of their currency; times are UTC. Every error is a problem detail (RFC 9457) that says what to do.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: tags.map((name) => ({ name })),
    paths,
    webhooks: webhooks(),
    components: {
      schemas: componentSchemas(),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key, or a token of the configured issuer' },
      },
    },
  };
}

function componentSchemas(): Record<string, Json> {
  const { schemas } = z.toJSONSchema(named, {
    io: 'input',
    metadata: named,
    uri: (id) => `#/components/schemas/${id}`,
  });
  const all = Object.entries({ ...schemas, ...webhookSchemas() });
  return Object.fromEntries(all.map(([id, schema]) => [id, plain(schema)]));
}

function operation(described: Route): Json {
  const parameters = [
    ...parametersOf(described.params, 'path'),
    ...parametersOf(described.query, 'query'),
    ...parametersOf(described.headers, 'header'),
  ];
  return {
    operationId: described.operationId,
    tags: [described.tag],
    summary: described.summary,
    ...(described.description === undefined ? {} : { description: described.description }),
    ...security(described),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(described.body
      ? { requestBody: { required: !described.bodyOptional, content: jsonContent(described.body) } }
      : {}),
    responses: {
      ...Object.fromEntries(Object.entries(described.answers).map(([status, answer]) => [status, response(answer)])),
      ...problemResponses(described.problems),
    },
  };
}

/** The permission is named as a role of the scheme, as OpenAPI 3.1 allows for bearer tokens. */
function security({ access }: Route): Json {
  return access === 'public' || access === 'signed' ? { security: [] } : { security: [{ bearer: [access] }] };
}

function parametersOf(schema: z.ZodObject, place: 'path' | 'query' | 'header'): readonly Json[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = typeof property === 'boolean' ? {} : property;
    return {
      name: place === 'header' ? headerName(name) : name,
      in: place,
      required: required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function response({ description, schema, contentType, headers }: DocumentedAnswer): Json {
  const content =
    schema === undefined ? contentType && { [contentType]: { schema: { type: 'string' } } } : jsonContent(schema);
  return {
    description,
    ...(headers ? { headers: mapValues(headers, textHeader) } : {}),
    ...(content ? { content } : {}),
  };
}

/** One response per status; its description tells the codes apart. */
function problemResponses(codes: readonly ProblemCode[]): Record<string, Json> {
  const byStatus = Map.groupBy(codes, problemStatus);
  return Object.fromEntries(
    [...byStatus].map(([status, same]) => [
      status,
      {
        description: same.map((code) => `${problemTitle(code)} (\`${problemType(code)}\`)`).join('; '),
        ...(same.some(saysWhenToRetry) ? { headers: { 'Retry-After': textHeader('Seconds to wait') } } : {}),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

function jsonContent(schema: z.ZodType): Json {
  const id = named.get(schema)?.id;
  if (id === undefined) throw new Error('a schema in the API has no name: add it to `named` with an id');
  return { 'application/json': { schema: { $ref: `#/components/schemas/${id}` } } };
}

function textHeader(description: string): Json {
  return { description, schema: { type: 'string' } };
}

/** `if-match` to `If-Match`, as people write it. */
function headerName(name: string): string {
  return name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** Within the document a schema needs neither an address nor a dialect of its own. */
function plain(schema: object): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$id' && key !== '$schema'));
}

function mapValues<T>(record: Readonly<Record<string, string>>, change: (value: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
