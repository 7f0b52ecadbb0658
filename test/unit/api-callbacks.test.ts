import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import { carrierHeaders, fakes, orderId, problem, serve } from './api-fakes.ts';

const path = '/v1/callbacks/carrier';
const dispatched = {
  messageId: 'msg-1',
  shipmentId: 'shp-1',
  orderId,
  fulfillmentId: `${orderId}-1`,
  kind: 'dispatched',
  at: '2026-01-02T03:04:05+01:00',
};
const kept = {
  messageId: 'msg-1',
  shipmentId: 'shp-1',
  orderId,
  fulfillmentId: `${orderId}-1`,
  kind: 'dispatched',
  at: '2026-01-02T02:04:05.000Z',
};

function signed(body: unknown, options: { secret?: string; ageSeconds?: number; raw?: string } = {}) {
  return { raw: options.raw ?? JSON.stringify(body), headers: carrierHeaders(body, options) };
}

describe('a callback of the carrier', () => {
  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('without %s is refused', async (name) => {
    const deps = fakes();
    const message = signed(dispatched);
    delete message.headers[name];
    const reply = await (await serve(deps))('POST', path, message);
    expect(reply.json).toMatchObject(problem(400, 'invalid_header', { errors: [{ parameter: name }] }));
    expect(deps.calls).toEqual([]);
  });

  test.each([
    ['webhook-timestamp', 'yesterday'],
    ['webhook-timestamp', '-5'],
    ['webhook-signature', 'v1'],
    ['webhook-signature', 'v1,a  v1,b'],
    ['webhook-id', 'with blank'],
  ])('with the malformed %s: %s is refused', async (name, value) => {
    const message = signed(dispatched);
    message.headers[name] = value;
    const reply = await (await serve(fakes()))('POST', path, message);
    expect(reply.json).toMatchObject(problem(400, 'invalid_header', { errors: [{ parameter: name }] }));
  });

  const good = signed(dispatched);
  const goodSignature = good.headers['webhook-signature'] ?? '';
  test.each<[string, { raw: string; headers: Record<string, string> }]>([
    ['signed with another secret', signed(dispatched, { secret: 'another secret of ours' })],
    ['with a changed body', { ...good, raw: good.raw.replace('dispatched', 'delivered') }],
    ['with one more blank in its body', { ...good, raw: `${good.raw} ` }],
    ['under another id', { ...good, headers: { ...good.headers, 'webhook-id': 'msg-2' } }],
    ['with another timestamp', { ...good, headers: { ...good.headers, 'webhook-timestamp': '1' } }],
    [
      'signed by an unknown version',
      { ...good, headers: { ...good.headers, 'webhook-signature': goodSignature.replace('v1', 'v2') } },
    ],
    [
      'with half a signature',
      { ...good, headers: { ...good.headers, 'webhook-signature': goodSignature.slice(0, 20) } },
    ],
    ['six minutes old', signed(dispatched, { ageSeconds: 360 })],
    ['six minutes early', signed(dispatched, { ageSeconds: -360 })],
    ['that is no JSON and not signed', { ...good, raw: '{' }],
  ])('%s is not believed', async (_name, message) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', path, message);
    expect(reply.json).toMatchObject(problem(401, 'signature_invalid'));
    expect(reply.headers.get('www-authenticate')).toBe('StandardWebhooks');
    expect(deps.calls).toEqual([]);
  });

  test('is refused where no secret is configured, and says what to set', async () => {
    const deps = fakes();
    deps.carrierSecret = undefined;
    const reply = await (await serve(deps))('POST', path, signed(dispatched));
    expect(reply.json).toMatchObject(problem(503, 'callbacks_not_configured'));
    expect(reply.text).toContain('CARRIER_CALLBACK_SECRET');
  });

  test.each<[string, unknown, string]>([
    ['at a moment that is in the year 10000 of UTC', { ...dispatched, at: '9999-12-31T23:59:59-23:59' }, '/at'],
    ['another id within', { ...dispatched, messageId: 'msg-9' }, '/messageId'],
    ['a kind that is none', { ...dispatched, kind: 'lost' }, '/kind'],
    ['a time without an offset', { ...dispatched, at: '2026-01-02T03:04:05' }, '/at'],
    ['a time before all carriers', { ...dispatched, at: '0000-01-01T00:00:00Z' }, '/at'],
    ['an order that is no UUID', { ...dispatched, orderId: 'o-1' }, '/orderId'],
    ['no fulfillment', { ...dispatched, fulfillmentId: undefined }, '/fulfillmentId'],
  ])('well signed but with %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', path, signed(body));
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test('well signed but no JSON is refused', async () => {
    const reply = await (await serve(fakes()))('POST', path, signed(undefined, { raw: '{"messageId":' }));
    expect(reply.json).toMatchObject(problem(400, 'malformed_json'));
  });

  test.each([
    ['not_found', 404],
    ['store_unavailable', 503],
  ] as const)(
    'that cannot be kept (%s) is told to nobody, so that the carrier sends it again',
    async (code, status) => {
      const deps = fakes();
      deps.inbox.keep = () => Promise.reject(new DomainFailure(code, 'no'));
      const reply = await (await serve(deps))('POST', path, signed(dispatched));
      expect(reply.json).toMatchObject(problem(status, code));
      expect(deps.calls).toEqual([]);
    },
  );

  test('is kept, then handed to the workflow; what it holds beyond our fields is left aside', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', path, signed({ ...dispatched, weightGrams: 300 }));
    expect([reply.status, reply.json]).toEqual([202, { messageId: 'msg-1', duplicate: false }]);
    expect(deps.calls).toEqual([
      ['inbox.keep', kept],
      ['workflows.deliver', kept],
    ]);
  });

  test('about another shipment than the present one is kept, noted, and not handed on', async () => {
    const deps = fakes();
    deps.inbox.keep = () => Promise.resolve('other_shipment');
    const reply = await (await serve(deps))('POST', path, signed(dispatched));
    expect([reply.status, reply.json]).toEqual([202, { messageId: 'msg-1', duplicate: false }]);
    expect(deps.calls).toEqual([]);
    expect(deps.lines[0]).toMatchObject({ level: 'warn', fields: { orderId, shipmentId: 'shp-1' } });
  });

  test('is believed if one of several signatures is right', async () => {
    const message = signed(dispatched);
    message.headers['webhook-signature'] = `v1,bm8= v1a,bm8= ${message.headers['webhook-signature']}`;
    const reply = await (await serve(fakes()))('POST', path, message);
    expect(reply.status).toBe(202);
  });

  test('may hold any script: the signature stands over the bytes', async () => {
    const raw = JSON.stringify({ ...dispatched, note: 'Größe ≥ 3 📦' });
    const reply = await (await serve(fakes()))('POST', path, signed(undefined, { raw }));
    expect(reply.status).toBe(202);
  });

  test('is answered 202 though Temporal is away', async () => {
    const deps = fakes();
    deps.workflows.deliver = () => Promise.reject(new DomainFailure('workflow_unavailable', 'no Temporal'));
    const reply = await (await serve(deps))('POST', path, signed(dispatched));
    expect(reply.status).toBe(202);
    expect(deps.lines[0]).toMatchObject({ level: 'warn', fields: { orderId, messageId: 'msg-1' } });
  });

  test('that was kept before is answered 200 and told to nobody again', async () => {
    const deps = fakes();
    deps.inbox.keep = () => Promise.resolve('duplicate');
    const reply = await (await serve(deps))('POST', path, signed(dispatched));
    expect([reply.status, reply.json]).toEqual([200, { messageId: 'msg-1', duplicate: true }]);
    expect(deps.calls).toEqual([]);
  });
});
