import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestSandbox, startSandbox } from '../support/sandbox.ts';

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(async () => sandbox.stop());

interface Reply {
  readonly status: number;
  readonly body: { outcome?: string; reason?: string; code?: string; detail?: string; authorizationId?: string };
}

async function post(
  path: string,
  key: string | undefined,
  body: unknown,
  signal = AbortSignal.timeout(15_000),
): Promise<Reply> {
  const response = await fetch(`${sandbox.url}${path}`, {
    method: 'POST',
    headers: key === undefined ? {} : { 'idempotency-key': key },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
  return { status: response.status, body: (await response.json()) as Reply['body'] };
}

const newOrder = () => ({ orderId: randomUUID(), amountMinor: 1_000, currency: 'GBP' });
const authorize = async (body: object, key: string = randomUUID()) => post('/payments/authorizations', key, body);

describe('the pretend cards', () => {
  test.each(['tok_visa', 'tok_mastercard'])('%s is authorized', async (token) => {
    expect(await authorize({ ...newOrder(), token })).toMatchObject({ status: 200, body: { outcome: 'authorized' } });
  });

  test.each([
    ['tok_declined', 'card_declined'],
    ['tok_insufficient_funds', 'insufficient_funds'],
    ['tok_expired_card', 'expired_card'],
  ])('%s is declined as %s, without an effect', async (token, reason) => {
    const order = newOrder();
    expect(await authorize({ ...order, token })).toEqual({ status: 200, body: { outcome: 'declined', reason } });
    expect(await sandbox.ledger({ orderId: order.orderId })).toEqual([]);
  });

  test.each(['tok_invalid', 'tok_unheard_of', 'constructor'])('%s is a malformed request', async (token) => {
    const { status, body } = await authorize({ ...newOrder(), token });
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_token' });
    expect(body.detail).toContain(`'${token}'`);
  });

  test('tok_flaky_3 fails three times without an effect, then is authorized', async () => {
    const [order, key] = [newOrder(), randomUUID()];
    const body = { ...order, token: 'tok_flaky_3' };
    for (const failed of [1, 2, 3]) {
      expect((await authorize(body, key)).status, `attempt ${failed}`).toBe(503);
      expect(await sandbox.ledger({ orderId: order.orderId })).toEqual([]);
    }
    expect(await authorize(body, key)).toMatchObject({ status: 200, body: { outcome: 'authorized' } });
  });

  test('tok_timeout_after_effect is authorized but answers only the second time', async () => {
    const [order, key] = [newOrder(), randomUUID()];
    const body = { ...order, token: 'tok_timeout_after_effect' };
    const over = new AbortController();
    const first = post('/payments/authorizations', key, body, over.signal).catch((error: unknown) => error);
    await expect.poll(() => sandbox.ledger({ orderId: order.orderId })).toHaveLength(1);
    // An answer would be here before that to a later call.
    await authorize({ ...newOrder(), token: 'tok_visa' });
    over.abort();
    expect(await first).toMatchObject({ name: 'AbortError' });
    expect(await authorize(body, key)).toMatchObject({ status: 200, body: { outcome: 'authorized' } });
    expect(await sandbox.ledger({ orderId: order.orderId })).toHaveLength(1);
  });

  test.each([
    ['tok_capture_refused', 'card_refused_capture', 'captures'],
    ['tok_void_refused', 'card_refused_void', 'voids'],
  ])('%s refuses later: %s', async (token, reason, path) => {
    const order = newOrder();
    const { authorizationId } = (await authorize({ ...order, token })).body;
    const { body } = await post(`/payments/${path}`, randomUUID(), { ...order, authorizationId });
    expect(body).toEqual({ outcome: 'refused', reason });
  });

  test('tok_refund_refused is captured, but not refunded', async () => {
    const order = newOrder();
    const { authorizationId } = (await authorize({ ...order, token: 'tok_refund_refused' })).body;
    const captured = await post('/payments/captures', randomUUID(), { ...order, authorizationId });
    expect(captured.body.outcome).toBe('captured');
    const refunded = await post('/payments/refunds', randomUUID(), { ...order, ...captured.body });
    expect(refunded.body).toEqual({ outcome: 'refused', reason: 'card_refused_refund' });
  });
});

describe('the gateway', () => {
  test('enters each effect once, with its key, order, amount and time, and no token', async () => {
    const order = newOrder();
    const [a, c, v] = [randomUUID(), randomUUID(), randomUUID()];
    const { authorizationId } = (await authorize({ ...order, token: 'tok_visa' }, a)).body;
    await authorize({ ...order, token: 'tok_visa' }, a);
    for (const key of [c, c]) {
      await post('/payments/captures', key, { ...order, amountMinor: 300, authorizationId });
    }
    await post('/payments/voids', v, { ...order, authorizationId });
    await post('/payments/voids', randomUUID(), { ...order, authorizationId });
    const { orderId } = order;
    const effects = await sandbox.ledger({ orderId });
    expect(effects).toMatchObject([
      { kind: 'authorization', key: a, orderId, amountMinor: 1_000, currency: 'GBP', authorizationId },
      { kind: 'capture', key: c, orderId, amountMinor: 300 },
      { kind: 'void', key: v, orderId, amountMinor: 700 },
    ]);
    for (const { at } of effects) expect(Math.abs(Date.now() - Date.parse(at))).toBeLessThan(60_000);
    expect(JSON.stringify(effects)).not.toContain('tok_');
    expect(await sandbox.ledger({ orderId, kind: 'capture' })).toEqual([effects[1]]);
    expect((await sandbox.summary()).filter((summary) => summary.orderId === orderId)).toEqual([
      {
        orderId,
        authorizations: 1,
        captures: 1,
        voids: 1,
        refunds: 0,
        shipments: 0,
        cancellations: 0,
        authorizedMinor: 1_000,
        capturedMinor: 300,
        voidedMinor: 700,
        refundedMinor: 0,
      },
    ]);
  });

  test('gives a key to one operation only', async () => {
    const [order, key] = [newOrder(), randomUUID()];
    const { authorizationId } = (await authorize({ ...order, token: 'tok_visa' }, key)).body;
    expect(await authorize({ ...order, token: 'tok_mastercard' }, key)).toMatchObject({
      status: 422,
      body: { code: 'key_reused' },
    });
    expect((await post('/payments/captures', key, { ...order, authorizationId })).status).toBe(422);
  });

  test('does not remember a key whose request was refused as malformed', async () => {
    const [order, key] = [newOrder(), randomUUID()];
    expect((await authorize({ ...order, token: 'tok_invalid' }, key)).status).toBe(400);
    expect((await authorize({ ...order, token: 'tok_visa' }, key)).status).toBe(200);
  });

  test('notices when orders or currencies are mixed up', async () => {
    const order = newOrder();
    const { authorizationId } = (await authorize({ ...order, token: 'tok_visa' })).body;
    const capture = async (other: object) =>
      post('/payments/captures', randomUUID(), { ...order, authorizationId, ...other });
    expect(await capture({ orderId: 'another' })).toMatchObject({ status: 400, body: { code: 'wrong_order' } });
    expect(await capture({ currency: 'EUR' })).toMatchObject({ status: 400, body: { code: 'wrong_currency' } });
    expect(await capture({ authorizationId: 'none' })).toMatchObject({ status: 404 });
  });

  test.each([
    ['no key', undefined, { ...newOrder(), token: 'tok_visa' }, 'Idempotency-Key'],
    ['a key of 256 characters', 'k'.repeat(256), { ...newOrder(), token: 'tok_visa' }, 'Idempotency-Key'],
    ['a fraction of a penny', 'k1', { ...newOrder(), amountMinor: 0.5, token: 'tok_visa' }, '/amountMinor'],
    ['no amount', 'k2', { ...newOrder(), amountMinor: 0, token: 'tok_visa' }, '/amountMinor'],
    ['a lower-case currency', 'k3', { ...newOrder(), currency: 'gbp', token: 'tok_visa' }, '/currency'],
    ['no JSON', 'k4', '{', 'not JSON'],
  ])('answers 400 and names the place for %s', async (_, key, body, place) => {
    const { status, body: problem } = await post('/payments/authorizations', key, body);
    expect(status).toBe(400);
    expect(problem.detail).toContain(place);
  });

  test('tells a wrong path from a wrong method', async () => {
    expect((await fetch(`${sandbox.url}/nothing`)).status).toBe(404);
    const wrong = await fetch(`${sandbox.url}/payments/captures`);
    expect(wrong.status).toBe(405);
    expect(await wrong.json()).toMatchObject({ code: 'method_not_allowed', detail: expect.stringContaining('POST') });
  });
});
