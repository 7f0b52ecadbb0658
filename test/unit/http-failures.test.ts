import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type RequestListener, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { httpCarrier } from '../../src/adapters/http/carrier.ts';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { PaymentGateway } from '../../src/domain/provider-ports.ts';
import type { Attempt } from '../../src/domain/step-ports.ts';
import { attempt, newKey, newShipment } from '../support/provider-conformance.ts';
import { type TestSandbox, startSandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait.ts';

const token = 'tok_visa';
const newRequest = () => ({ orderId: randomUUID(), amountMinor: 1_000, currency: 'GBP', token });

/** An attempt whose time is over as soon as `holds`, which is asked again and again. */
function overOnce(holds: () => Promise<boolean>): Attempt {
  const over = new AbortController();
  const asking = waitFor('the attempt has come so far', holds, 10_000);
  asking.catch(() => undefined).finally(() => over.abort());
  return { signal: over.signal };
}

async function failureOf(call: Promise<unknown>): Promise<DomainFailure> {
  const error: unknown = await call.then(
    (outcome) => new Error(`expected a failure, got ${JSON.stringify(outcome)}`),
    (failure: unknown) => failure,
  );
  if (error instanceof DomainFailure) return error;
  throw error;
}

/** A provider that answers every request as `listener` does; returns its URL. */
async function provider(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const answering = (status: number, body: string, headers: Record<string, string> = {}) =>
  provider((_, response) => response.writeHead(status, headers).end(body));

const authorizeAt = (url: string) => httpPaymentGateway(url).authorize(newKey('authorize'), newRequest(), attempt());

describe('scripted faults, seen through the adapters', () => {
  let sandbox: TestSandbox;
  let gateway: PaymentGateway;
  beforeAll(async () => {
    sandbox = await startSandbox();
    gateway = httpPaymentGateway(sandbox.url);
  });
  afterEach(async () => sandbox.clearFaults());
  afterAll(async () => sandbox.stop());
  const effectsOf = async ({ orderId }: { orderId: string }) => sandbox.ledger({ orderId });
  const overOnceHit = () => overOnce(async () => (await sandbox.faults()).some(({ hits }) => hits > 0));
  const overOnceDone = (request: { orderId: string }) => overOnce(async () => (await effectsOf(request)).length > 0);

  test('an error is unavailability with the wait that was asked for, and has no effect', async () => {
    await sandbox.addFault({ dependency: 'payments', kind: 'error', status: 502, retryAfterSeconds: 7, count: 1 });
    const request = newRequest();
    const failure = await failureOf(gateway.authorize(newKey('authorize'), request, attempt()));
    expect(failure).toMatchObject({ code: 'provider_unavailable', retryAfterMs: 7_000 });
    expect(await effectsOf(request)).toEqual([]);
  });

  test('a rate limit is told apart, with its wait', async () => {
    await sandbox.addFault({ dependency: 'payments', kind: 'rate_limit', retryAfterSeconds: 3 });
    const failure = await failureOf(gateway.authorize(newKey('authorize'), newRequest(), attempt()));
    expect(failure).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 3_000 });
  });

  test('a connection that is cut is unavailability, and has no effect', async () => {
    await sandbox.addFault({ dependency: 'payments', kind: 'reset' });
    const request = newRequest();
    const failure = await failureOf(gateway.authorize(newKey('authorize'), request, attempt()));
    expect(failure.code).toBe('provider_unavailable');
    expect(await effectsOf(request)).toEqual([]);
  });

  test('a time-out before the effect has none', async () => {
    await sandbox.addFault({ dependency: 'payments', kind: 'timeout' });
    const request = newRequest();
    const failure = await failureOf(gateway.authorize(newKey('authorize'), request, overOnceHit()));
    expect(failure.code).toBe('provider_timeout');
    expect(await effectsOf(request)).toEqual([]);
  });

  test('a time-out after the effect leaves it to be found by its key', async () => {
    await sandbox.addFault({ dependency: 'payments', kind: 'timeout_after_effect', count: 1 });
    const request = newRequest();
    const key = newKey('authorize');
    const failure = await failureOf(gateway.authorize(key, request, overOnceDone(request)));
    expect(failure.code).toBe('provider_timeout');
    const found = await gateway.lookup(key, attempt());
    expect(found).toMatchObject({ outcome: 'authorized' });
    expect(await gateway.authorize(key, request, attempt())).toEqual(found);
    expect(await effectsOf(request)).toHaveLength(1);
  });

  test('a delayed effect lands after a look-up found nothing', async () => {
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'delay_effect', latencyMs: 1_500 });
    const request = newRequest();
    const key = newKey('authorize');
    const failure = await failureOf(gateway.authorize(key, request, overOnceHit()));
    expect(failure.code).toBe('provider_timeout');
    expect(await gateway.lookup(key, attempt())).toBeUndefined();
    await expect
      .poll(async () => gateway.lookup(key, attempt()), { timeout: 10_000 })
      .toMatchObject({ outcome: 'authorized' });
    expect(await effectsOf(request)).toHaveLength(1);
  });

  test('latency delays the answer, and nothing else', async () => {
    await sandbox.addFault({ dependency: 'payments', kind: 'latency', latencyMs: 120 });
    const began = performance.now();
    expect(await gateway.authorize(newKey('authorize'), newRequest(), attempt())).toMatchObject({
      outcome: 'authorized',
    });
    // Timers may fire up to a millisecond early.
    expect(performance.now() - began).toBeGreaterThan(118);
  });

  test('a fault hits only its dependency, operation, order and count', async () => {
    const [request, other] = [newRequest(), newRequest()];
    const match = { orderId: request.orderId };
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'error', match, count: 1 });
    const shipment = { ...newShipment(), orderId: request.orderId };
    await httpCarrier(sandbox.url).book(newKey('book'), shipment, attempt());
    await gateway.authorize(newKey('authorize'), other, attempt());
    await gateway.lookup(newKey('authorize'), attempt());
    expect(await sandbox.faults()).toMatchObject([{ hits: 0 }]);
    await failureOf(gateway.authorize(newKey('authorize'), request, attempt()));
    await gateway.authorize(newKey('authorize'), request, attempt());
    expect(await sandbox.faults()).toMatchObject([{ hits: 1 }]);
  });

  test('the carrier fails the same way', async () => {
    const carrier = httpCarrier(sandbox.url);
    await sandbox.addFault({ dependency: 'carrier', kind: 'timeout_after_effect', count: 1 });
    const key = newKey('book:f1');
    const shipment = newShipment();
    expect((await failureOf(carrier.book(key, shipment, overOnceDone(shipment)))).code).toBe('provider_timeout');
    expect(await carrier.lookup(key, attempt())).toMatchObject({ outcome: 'booked' });
    await sandbox.addFault({ dependency: 'carrier', operation: 'book', kind: 'error', status: 500 });
    expect((await failureOf(carrier.book(newKey('book'), shipment, attempt()))).code).toBe('provider_unavailable');
    const unknown = carrier.cancel(newKey('cancel'), { shipmentId: 'ship/none' }, attempt());
    const failure = await failureOf(unknown);
    expect(failure.code).toBe('provider_rejected');
    expect(failure.message).toContain('404 (unknown_shipment)');
  });
});

describe('an answer that the contract does not know', () => {
  test.each([
    ['a malformed request', 400, 'provider_rejected'],
    ['missing rights', 401, 'provider_rejected'],
    ['a redirect', 302, 'provider_rejected'],
    ['an unprocessable request', 422, 'provider_rejected'],
    ['a request that came too slowly', 408, 'provider_unavailable'],
    ['a key that another attempt is using', 409, 'provider_unavailable'],
    ['a request that came too early', 425, 'provider_unavailable'],
    ['an internal error', 500, 'provider_unavailable'],
    ['a bad gateway', 502, 'provider_unavailable'],
    ['a gateway time-out', 504, 'provider_unavailable'],
    ['a rate limit', 429, 'provider_rate_limited'],
  ])('%s (%i) is %s', async (_, status, code) => {
    const failure = await failureOf(authorizeAt(await answering(status, '{"code":"because"}')));
    expect(failure.code).toBe(code);
    expect(failure.message).toContain(`answered ${status} (because)`);
  });

  test.each([
    [408, true],
    [409, true],
    [425, true],
    [500, false],
    [503, false],
  ])('a %i says that the provider is well: %s', async (status, isWell) => {
    expect(await failureOf(authorizeAt(await answering(status, '')))).toMatchObject({ isWell });
  });

  test.each([
    ['no JSON', '<html>hello</html>'],
    ['an unknown outcome', '{"outcome":"perhaps"}'],
    ['an outcome without its id', '{"outcome":"authorized"}'],
    ['the outcome of another operation', '{"outcome":"captured","captureId":"c1"}'],
    ['nothing', ''],
  ])('a 200 with %s is rejected, and the failure says what came', async (_, body) => {
    const failure = await failureOf(authorizeAt(await answering(200, body, { 'content-type': 'text/x-any' })));
    expect(failure.code).toBe('provider_rejected');
    expect(failure.message).toContain(`text/x-any, ${body.length} bytes`);
  });

  test('a 200 of more than 64 KiB is rejected, not read to its end', async () => {
    const failure = await failureOf(authorizeAt(await answering(200, ' '.repeat(1_000_000))));
    expect(failure.code).toBe('provider_rejected');
    expect(failure.message).toContain('more than 65536 bytes');
  });

  test('a 404 without the code for an unknown key proves nothing about the key', async () => {
    const gateway = httpPaymentGateway(await answering(404, '{"message":"no such route"}'));
    expect((await failureOf(gateway.lookup(newKey('authorize'), attempt()))).code).toBe('provider_rejected');
  });

  test('a provider that echoes the token or the address does not get them into a failure', async () => {
    const secret = 'tok_secret_4242';
    const echo: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () =>
        response.writeHead(400).end(JSON.stringify({ code: secret, detail: Buffer.concat(chunks).toString() })),
      );
    };
    const url = await provider(echo);
    const request = { ...newRequest(), token: secret };
    const failure = await failureOf(httpPaymentGateway(url).authorize(newKey('authorize'), request, attempt()));
    expect(failure.code).toBe('provider_rejected');
    expect(`${failure.message} ${JSON.stringify(failure)} ${String(failure.cause)}`).not.toContain(secret);
    const shipment = newShipment();
    const carrierFailure = await failureOf(httpCarrier(url).book(newKey('book'), shipment, attempt()));
    expect(carrierFailure.message).not.toContain(shipment.address.name);
  });
});

describe('a connection in trouble', () => {
  test('nobody listening is unavailability', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const failure = await failureOf(authorizeAt(`http://127.0.0.1:${port}`));
    expect(failure).toMatchObject({ code: 'provider_unavailable' });
    expect(failure.message).toContain('ECONNREFUSED');
  });

  test.each([
    ['with its length announced', { 'content-length': '100' }],
    ['in chunks', { 'transfer-encoding': 'chunked' }],
  ])('a body cut off %s is unavailability', async (_, headers) => {
    const url = await provider((__, response) => {
      response.writeHead(200, headers);
      response.write('{"outcome":"auth', () => response.destroy());
    });
    expect((await failureOf(authorizeAt(url))).code).toBe('provider_unavailable');
  });

  test('a body that stalls is a time-out', async () => {
    const url = await provider((_, response) => void response.writeHead(200).write('{'));
    const brief = { signal: AbortSignal.timeout(300) };
    const call = httpPaymentGateway(url).authorize(newKey('authorize'), newRequest(), brief);
    expect((await failureOf(call)).code).toBe('provider_timeout');
  });

  test('a call is sent once, whatever comes', async () => {
    let requests = 0;
    const url = await provider((_, response) => {
      requests += 1;
      response.destroy();
    });
    await failureOf(authorizeAt(url));
    await failureOf(httpPaymentGateway(url).lookup(newKey('authorize'), attempt()));
    expect(requests).toBe(2);
  });

  test('a base URL may have a path', async () => {
    const paths: (string | undefined)[] = [];
    const url = await provider((request, response) => {
      paths.push(request.url);
      response.end('{"outcome":"declined","reason":"card_declined"}');
    });
    await authorizeAt(`${url}/v2/`);
    expect(paths).toEqual(['/v2/payments/authorizations']);
  });
});
