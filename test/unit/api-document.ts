import { expect } from 'vitest';
import { z } from 'zod';
import { apiRoutes } from '../../src/api/app.ts';
import { fakes, type Reply } from './api-fakes.ts';
import { runContext } from './api-access-fakes.ts';

export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: object }[];
  readonly requestBody?: { required: boolean; content: Record<string, { schema: { $ref: string } }> };
  readonly responses: Readonly<Record<string, { description: string; content?: Record<string, { schema: object }> }>>;
}

export interface Webhook {
  readonly operationId: string;
  readonly parameters: readonly { name: string; in: string; required: boolean }[];
  readonly requestBody: { content: Record<string, { schema: { $ref: string }; example: unknown }> };
  readonly responses: Readonly<Record<string, { description: string }>>;
}

export interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly webhooks: Readonly<Record<string, Readonly<Record<'post', Webhook>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** The document as it is served; no port is asked for it. */
export async function openApiDocument(): Promise<Document> {
  const route = apiRoutes(fakes()).find(({ path }) => path === '/openapi.json');
  const raw = { path: {}, query: {}, headers: {}, body: Buffer.alloc(0) };
  const answer = await route?.run(raw, runContext());
  return JSON.parse(String(answer?.bytes)) as Document;
}

/** The operation of that name. Throws if the document has none. */
export function operationOf(document: Document, name: string): { path: string; method: string; operation: Operation } {
  const found = Object.entries(document.paths)
    .flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))
    .find(({ operation }) => operation.operationId === name);
  if (!found) throw new Error(`${name} is not in the document`);
  return found;
}

/** A schema of the document made to validate, its references resolved within the document. */
export function validator(document: Document, schema: object): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas });
  return z.fromJSONSchema(
    JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')) as z.core.JSONSchema.JSONSchema,
  );
}

/** Every name in an answer must be in the document too: a schema that allows more would not notice. */
function undocumented(document: Document, schema: unknown, value: unknown, at = ''): readonly string[] {
  const { $ref, anyOf, properties, items, additionalProperties } = (schema ?? {}) as {
    $ref?: string;
    anyOf?: unknown[];
    properties?: Record<string, unknown>;
    items?: unknown;
    additionalProperties?: unknown;
  };
  if ($ref !== undefined)
    return undocumented(document, document.components.schemas[$ref.split('/').at(-1) ?? ''], value, at);
  if (anyOf) {
    const each = anyOf.map((option) => undocumented(document, option, value, at));
    return each.find((found) => found.length === 0) ?? each[0] ?? [];
  }
  if (Array.isArray(value))
    return value.flatMap((item, index) => undocumented(document, items, item, `${at}/${index}`));
  if (typeof value !== 'object' || value === null || additionalProperties !== undefined) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    properties !== undefined && Object.hasOwn(properties, name)
      ? undocumented(document, properties[name], member, `${at}/${name}`)
      : [`${at}/${name}`],
  );
}

/** Status, content type and body of `reply` are as the document says of `operation`, and nothing more. */
export function expectAsDocumented(document: Document, operation: Operation, reply: Reply): void {
  expect(Object.keys(operation.responses)).toContain(String(reply.status));
  const [type, media] = Object.entries(operation.responses[String(reply.status)]?.content ?? {})[0] ?? [];
  const sent = reply.headers.get('content-type')?.replace('json; charset=utf-8', 'json');
  expect(['*/*', sent]).toContain(type);
  if (type === undefined || !type.includes('json')) return;
  const { error } = validator(document, media?.schema ?? {}).safeParse(reply.json);
  expect(error?.issues ?? []).toEqual([]);
  expect(undocumented(document, media?.schema, reply.json)).toEqual([]);
}
