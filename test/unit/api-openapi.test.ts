import { describe, expect, test } from 'vitest';
import { apiRoutes } from '../../src/api/app.ts';
import { eventTypes } from '../../src/domain/events.ts';
import { expectAsDocumented, openApiDocument, operationOf, validator } from './api-document.ts';
import { consumerId, eventId, letterId, newConsumer, redriveId } from './api-delivery-fakes.ts';
import { carrierHeaders, fakes, newOrder, orderId, serve } from './api-fakes.ts';

const article = { description: 'Heart', priceMinor: 255, currency: 'GBP' };
const decision = { attentionId: 'att-1', action: 'retry', reason: 'it is back', actor: 'Grace' };
const callback = {
  messageId: 'msg-1',
  shipmentId: 'shp-1',
  orderId,
  fulfillmentId: `${orderId}-1`,
  kind: 'delivered',
  at: '2026-01-02T03:04:05Z',
};
const stranger = '00000000-0000-4000-8000-000000000000';

const consumers = `/v1/consumers/${consumerId}`;
const letters = `/v1/dead-letters/${letterId}`;
const redrives = `/v1/redrives/${redriveId}`;

interface Example {
  readonly path?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The same operation asked wrongly. */
  readonly wrong: { readonly path?: string; readonly raw?: string; readonly status: number };
}

/** One good and one bad request for every operation; an operation without an example fails. */
const examples: Readonly<Record<string, Example>> = {
  submitOrder: { body: newOrder, headers: { 'idempotency-key': 'k' }, wrong: { raw: '{', status: 400 } },
  listOrders: { wrong: { path: '/v1/orders?limit=x', status: 400 } },
  getOrder: { path: `/v1/orders/${orderId}`, wrong: { path: `/v1/orders/${stranger}`, status: 404 } },
  cancelOrder: {
    path: `/v1/orders/${orderId}/cancel`,
    wrong: { path: `/v1/orders/${orderId}/cancel`, raw: '{"a":1}', status: 422 },
  },
  decideOrder: {
    path: `/v1/orders/${orderId}/decisions`,
    body: decision,
    wrong: { path: '/v1/orders/x/decisions', status: 404 },
  },
  listEventTypes: { wrong: { path: '/v1/event-types?type=x', status: 400 } },
  listEvents: { wrong: { path: '/v1/events?limit=x', status: 400 } },
  getEvent: { path: `/v1/events/${eventId}`, wrong: { path: `/v1/events/${stranger}`, status: 404 } },
  createConsumer: { body: newConsumer, headers: { 'idempotency-key': 'k' }, wrong: { raw: '{}', status: 422 } },
  listConsumers: { wrong: { path: '/v1/consumers?cursor=', status: 400 } },
  getConsumer: { path: consumers, wrong: { path: `/v1/consumers/${stranger}`, status: 404 } },
  changeConsumer: { path: consumers, body: { enabled: false }, wrong: { path: consumers, raw: '{}', status: 422 } },
  deleteConsumer: { path: consumers, wrong: { path: `${consumers}?force=1`, status: 400 } },
  pauseConsumer: { path: `${consumers}/pause`, wrong: { path: `/v1/consumers/${stranger}/pause`, status: 404 } },
  resumeConsumer: { path: `${consumers}/resume`, wrong: { path: '/v1/consumers/x/resume', status: 404 } },
  rotateConsumerSecret: {
    path: `${consumers}/rotate-secret`,
    headers: { 'if-match': '"3"' },
    wrong: { path: `/v1/consumers/${stranger}/rotate-secret`, raw: '{', status: 400 },
  },
  pingConsumer: { path: `${consumers}/ping`, wrong: { path: '/v1/consumers/x/ping', status: 404 } },
  listDeadLetters: { wrong: { path: '/v1/dead-letters?groupBy=colour', status: 400 } },
  getDeadLetter: { path: letters, wrong: { path: '/v1/dead-letters/82', status: 404 } },
  retryDeadLetter: { path: `${letters}/retry`, wrong: { path: '/v1/dead-letters/82/retry', raw: '{}', status: 404 } },
  editDeadLetter: {
    path: `${letters}/edit`,
    body: { data: { totalMinor: 1530, currency: 'GBP' }, reason: 'a typo' },
    wrong: { path: `${letters}/edit`, raw: '{"data": {}, "reason": "a typo"}', status: 422 },
  },
  discardDeadLetter: {
    path: `${letters}/discard`,
    body: { reason: 'a test' },
    wrong: { path: `${letters}/discard`, raw: '{}', status: 422 },
  },
  createRedrive: {
    body: { filter: { cause: 'http_500' } },
    headers: { 'idempotency-key': 'k' },
    wrong: { raw: '{"filter": {}}', status: 422 },
  },
  listSlos: { wrong: { path: '/v1/slos?name=x', status: 400 } },
  getSlo: { path: '/v1/slos/consumer-lag', wrong: { path: '/v1/slos/order-joy', status: 404 } },
  getSloReport: { path: '/v1/slo-reports/2026-10', wrong: { path: '/v1/slo-reports/2026-13', status: 404 } },
  listRedrives: { wrong: { path: '/v1/redrives?state=x', status: 400 } },
  getRedrive: { path: redrives, wrong: { path: `/v1/redrives/${stranger}`, status: 404 } },
  pauseRedrive: { path: `${redrives}/pause`, wrong: { path: `${redrives}/pause`, raw: '{"a":1}', status: 422 } },
  resumeRedrive: { path: `${redrives}/resume`, wrong: { path: '/v1/redrives/x/resume', status: 404 } },
  stopRedrive: { path: `${redrives}/stop`, wrong: { path: '/v1/redrives/x/stop', status: 404 } },
  putCatalogItem: {
    path: '/v1/catalog/85123A',
    body: article,
    wrong: { path: '/v1/catalog/%20', raw: '{}', status: 422 },
  },
  getCatalogItem: { path: '/v1/catalog/85123A', wrong: { path: '/v1/catalog/B', status: 404 } },
  putStock: {
    path: '/v1/stock/85123A',
    body: { onHand: 5 },
    wrong: { path: '/v1/stock/85123A', raw: 'x', status: 400 },
  },
  getStock: { path: '/v1/stock/85123A', wrong: { path: '/v1/stock/85123A?x=1', status: 400 } },
  carrierCallback: { body: callback, headers: carrierHeaders(callback), wrong: { raw: '{"a":1}', status: 401 } },
  listAudit: { wrong: { path: '/v1/audit?limit=x', status: 400 } },
  eraseCustomer: { body: { customerId: 'c-1', reason: 'request 7' }, wrong: { raw: '{}', status: 422 } },
  quoteShipping: {
    body: { country: 'GB', currency: 'GBP', items: [{ sku: '85123A', quantity: 2 }] },
    wrong: { raw: '{"country": "Britain"}', status: 422 },
  },
  listBreakers: { wrong: { path: '/v1/breakers?name=x', status: 400 } },
  getBreaker: { path: '/v1/breakers/payment', wrong: { path: '/v1/breakers/mail', status: 404 } },
  forceBreaker: {
    path: '/v1/breakers/payment',
    body: { state: 'open', reason: 'they asked us to' },
    wrong: { path: '/v1/breakers/payment', raw: '{"state": "ajar"}', status: 422 },
  },
  decodePayloads: { body: { payloads: [{ metadata: {}, data: 'e30=' }] }, wrong: { raw: '{', status: 400 } },
  encodePayloads: { body: { payloads: [] }, wrong: { raw: '{"payloads": 1}', status: 422 } },
  livez: { wrong: { path: '/livez?verbose', status: 400 } },
  readyz: { wrong: { path: '/readyz?verbose', status: 400 } },
  openapi: { wrong: { path: '/openapi.json?v=2', status: 400 } },
  docs: { wrong: { path: '/docs?theme=dark', status: 400 } },
  docsAsset: { path: '/docs/swagger-ui.css', wrong: { path: '/docs/index.html', status: 404 } },
};

const document = await openApiDocument();

describe('the OpenAPI document', () => {
  test('is of version 3.1 and has an operation for every route, each with a name of its own', () => {
    expect(document.openapi).toBe('3.1.1');
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations.toSorted()).toEqual(
      apiRoutes(fakes())
        .map(({ method, path }) => `${method} ${path}`)
        .toSorted(),
    );
    const names = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(examples).toSorted()).toEqual(names.toSorted());
  });

  test('has examples that are what they are examples of', () => {
    const withExamples = Object.entries(document.components.schemas).flatMap(([name, schema]) =>
      'examples' in schema ? (schema.examples as unknown[]).map((example) => ({ name, example })) : [],
    );
    expect(withExamples.length).toBeGreaterThan(3);
    for (const { name, example } of withExamples) {
      const judged = validator(document, { $ref: `#/components/schemas/${name}` }).safeParse(example);
      expect([name, judged.error?.issues]).toEqual([name, undefined]);
    }
  });

  test('refers to nothing that is not in it, and has nothing that nobody refers to', () => {
    const text = JSON.stringify(document);
    const referred = new Set([...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, target]) => String(target)));
    const defined = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect([...referred].toSorted()).toEqual(defined.toSorted());
    expect(text).not.toMatch(/"\$(id|schema|defs)":/);
  });

  test('declares every parameter of every path, and only those', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const { parameters = [], responses } of Object.values(methods)) {
        const declared = parameters.filter((parameter) => parameter.in === 'path');
        expect(declared.map(({ name }) => name)).toEqual(inPath);
        expect(declared.every(({ required }) => required)).toBe(true);
        expect(Object.values(responses).every(({ description }) => description !== '')).toBe(true);
      }
    }
  });

  test('has patterns that any regular-expression engine of its readers takes', () => {
    const patterns = [...JSON.stringify(document).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)].map(
      ([, text]) => JSON.parse(text ?? '""') as string,
    );
    expect(patterns.length).toBeGreaterThan(0);
    for (const pattern of patterns) {
      expect(() => new RegExp(pattern, 'u')).not.toThrow();
      expect(pattern).not.toContain('\\p{');
    }
  });

  test.each(Object.entries(examples))('describes what %s answers, rightly and wrongly asked', async (name, example) => {
    const { path, method, operation } = operationOf(document, name);
    const send = await serve(fakes());
    const { headers = {}, body, wrong } = example;

    const request = operation.requestBody?.content['application/json']?.schema ?? {};
    expect(validator(document, request).safeParse(body ?? {}).error).toBeUndefined();
    const right = await send(method.toUpperCase(), example.path ?? path, { headers, body });
    expect(right.status).toBeLessThan(300);
    expectAsDocumented(document, operation, right);

    const raw = wrong.raw === undefined ? {} : { raw: wrong.raw };
    const sent = { headers: { ...headers, 'content-type': 'application/json' }, ...raw };
    const bad = await send(method.toUpperCase(), wrong.path ?? path, sent);
    expect(bad.status).toBe(wrong.status);
    expectAsDocumented(document, operation, bad);
  });
});

describe('the webhooks of the document', () => {
  test('are one for every type of event and one for the test event, each with an example that is as it says', () => {
    expect(Object.keys(document.webhooks)).toEqual([...eventTypes, 'evenkeel.ping.v1']);
    for (const [type, { post }] of Object.entries(document.webhooks)) {
      const { schema, example } = post.requestBody.content['application/cloudevents+json'] ?? {};
      expect([type, validator(document, schema ?? {}).safeParse(example).error]).toEqual([type, undefined]);
      expect(example).toMatchObject({ type, specversion: '1.0' });
    }
  });

  test('say how they are signed and what follows from each answer', () => {
    for (const { post } of Object.values(document.webhooks)) {
      expect(post.parameters.map(({ name }) => name)).toEqual(['webhook-id', 'webhook-timestamp', 'webhook-signature']);
      expect(Object.keys(post.responses).toSorted()).toEqual(['2XX', '410', '429', '503', 'default']);
    }
  });

  test('allow fields that events may gain', () => {
    expect(JSON.stringify(document.components.schemas['OrderStockReservedV1'])).not.toContain('additionalProperties');
  });
});

describe('the page of the document', () => {
  test('loads nothing from elsewhere and holds nothing that its policy forbids', async () => {
    const send = await serve(fakes());
    const page = await send('GET', '/docs');
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    expect(page.text).not.toMatch(/<style|style=|https?:|<script>|\son\w+=/);
    const loaded = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target]) => String(target));
    expect(loaded.length).toBeGreaterThan(3);
    for (const target of loaded) {
      const reply = await send('GET', target);
      expect([target, reply.status]).toEqual([target, 200]);
      expect(reply.text.length).toBeGreaterThan(50);
    }
  });

  test('has its program sent as one, and kept for a while', async () => {
    const send = await serve(fakes());
    const script = await send('GET', '/docs/swagger-ui-bundle.js');
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(script.headers.get('cache-control')).toBe('public, max-age=3600');
    expect(script.text).toContain('SwaggerUIBundle');
  });
});
