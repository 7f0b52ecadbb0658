import { randomBytes } from 'node:crypto';
import { type Payload, defaultPayloadConverter } from '@temporalio/common';
import express from 'express';
import { expect, onTestFinished, test } from 'vitest';
import { parseKeyRing } from '../../src/adapters/temporal/key-ring.ts';
import { createPayloadCodec } from '../../src/adapters/temporal/payload-codec.ts';
import { codecCors, codecRoutes } from '../../src/api/codec.ts';
import { jsonOf } from '../../src/api/body.ts';
import { listen } from '../../src/api/server.ts';
import { may } from '../../src/domain/access.ts';
import { identityOf, runContext } from './api-access-fakes.ts';

const keysOf = (id: string) => parseKeyRing(`${id}:${randomBytes(32).toString('base64')}`);
const codec = createPayloadCodec('shop', keysOf('k1'));
const routes = codecRoutes({ payloads: { namespace: 'shop', ...codec } });

/** As the Web UI writes it: JSON of protocol buffers. */
const written = ({ metadata, data }: Payload) => ({
  metadata: Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
  ),
  data: Buffer.from(data ?? []).toString('base64'),
});
const plain = defaultPayloadConverter.toPayload({ orderId: 'o-81' });

async function ask(path: string, body: unknown, headers: Record<string, string> = {}) {
  const route = routes.find((one) => one.path === path);
  const raw = { path: {}, query: {}, headers, body: Buffer.from(JSON.stringify(body)) };
  const all = { 'content-type': 'application/json', ...headers };
  expect(jsonOf(raw.body, all)).toBeDefined();
  return (await route?.run({ ...raw, headers: all }, runContext()))?.json;
}

test('what is encrypted is shown, in its order, and what is not stays as it is', async () => {
  const [sealed = {}] = await codec.encode([plain]);
  const body = { payloads: [written(sealed), written(plain), {}] };
  const shown = await ask('/codec/decode', body, { 'x-namespace': 'shop' });
  expect(shown).toEqual({ payloads: [written(plain), written(plain), { metadata: {}, data: '' }] });
});

test('what is encoded here is decoded here', async () => {
  const sealed = (await ask('/codec/encode', { payloads: [written(plain)] })) as object;
  expect(sealed).not.toEqual({ payloads: [written(plain)] });
  expect(await ask('/codec/decode', sealed)).toEqual({ payloads: [written(plain)] });
});

test('a payload whose key is not here is refused by the name of its key', async () => {
  const [foreign = {}] = await createPayloadCodec('shop', keysOf('k9')).encode([plain]);
  await expect(ask('/codec/decode', { payloads: [written(foreign)] })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining("'k9'"),
  });
});

test("another namespace's payloads are nobody's here", async () => {
  await expect(ask('/codec/decode', { payloads: [] }, { 'x-namespace': 'other' })).rejects.toMatchObject({
    code: 'forbidden',
  });
});

test.each([
  ['no list', {}],
  ['no base64', { payloads: [{ data: 'ä' }] }],
  ['metadata that are a list', { payloads: [{ metadata: ['x'] }] }],
  ['more than anybody looks at', { payloads: Array.from({ length: 10_001 }, () => ({})) }],
])('%s is refused', async (_, body) => {
  await expect(ask('/codec/decode', body)).rejects.toMatchObject({ code: 'invalid_input' });
});

test('operators and admins see payloads, and nobody else does', () => {
  const who = ['read-only', 'shop', 'customer-service', 'operator', 'admin', 'customer:ada'];
  for (const { access } of routes) {
    expect(access).toBe('payloads:decode');
    const allowed = who.filter((token) => access === 'payloads:decode' && may(identityOf(token), access));
    expect(allowed).toEqual(['operator', 'admin']);
  }
});

const page = 'https://temporal.example.com';

async function serveCors(): Promise<string> {
  const app = express();
  app.use('/codec', codecCors([page]));
  app.use((_request, response) => void response.status(401).end());
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close());
  return `${server.url}/codec/decode`;
}
const preflight = (origin: string) => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
});

test("a listed page's preflight is answered without credentials, and its requests may be read, refused ones too", async () => {
  const url = await serveCors();
  const asked = await fetch(url, preflight(page));
  expect(asked.status).toBe(204);
  expect(Object.fromEntries(asked.headers)).toMatchObject({
    'access-control-allow-origin': page,
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'authorization, content-type, x-namespace',
    vary: 'Origin',
  });
  const refused = await fetch(url, { method: 'POST', headers: { origin: page } });
  expect(refused.status).toBe(401);
  expect(refused.headers.get('access-control-allow-origin')).toBe(page);
  expect(refused.headers.has('access-control-allow-credentials')).toBe(false);
});

test.each([
  'https://temporal.example.com.evil.example',
  'http://temporal.example.com',
  'https://temporal.example.com:8443',
  'https://evil.example',
  'null',
])('a page of %s is not let in', async (origin) => {
  const url = await serveCors();
  const asked = await fetch(url, preflight(origin));
  expect(asked.status).toBe(403);
  expect([...asked.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  const sent = await fetch(url, { method: 'POST', headers: { origin } });
  expect(sent.headers.has('access-control-allow-origin')).toBe(false);
  expect(sent.headers.get('vary')).toBe('Origin');
});
