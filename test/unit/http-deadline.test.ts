import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import type { Attempt } from '../../src/domain/step-ports.ts';
import { deafListener } from '../support/deaf-listener.ts';

const request = () => ({ orderId: randomUUID(), amountMinor: 1_000, currency: 'GBP', token: 'tok_visa' });

/** A gateway that declines, and the milliseconds that it was told it has; undefined where it was told none. */
async function gatewayThatIsTold() {
  const told: (string | undefined)[] = [];
  const server = createServer(({ headers }, response) => {
    told.push(headers['x-request-timeout-ms'] as string | undefined);
    response.end('{"outcome":"declined","reason":"card_declined"}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const gateway = httpPaymentGateway(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(async () => {
    await gateway.close();
    server.close();
  });
  return { told, authorize: (attempt: Attempt) => gateway.authorize('key', request(), attempt) };
}

const never = new AbortController().signal;

test.each([
  ['whose deadline is over', { signal: never, deadline: performance.now() - 1 }],
  ['that was given up', { signal: AbortSignal.abort() }],
])('a call %s is not sent', async (_, attempt) => {
  const { told, authorize } = await gatewayThatIsTold();
  await expect(authorize(attempt)).rejects.toMatchObject({ code: 'provider_timeout' });
  expect(told).toEqual([]);
});

test('a provider is told how many milliseconds are left', async () => {
  const { told, authorize } = await gatewayThatIsTold();
  await authorize({ signal: never, deadline: performance.now() + 60_000 });
  expect(told).toEqual([expect.stringMatching(/^\d+$/)]);
  expect(Number(told[0])).toBeGreaterThan(0);
  expect(Number(told[0])).toBeLessThanOrEqual(60_000);
});

test('a provider is told of no limit where there is none', async () => {
  const { told, authorize } = await gatewayThatIsTold();
  await authorize({ signal: never });
  expect(told).toEqual([undefined]);
});

/** Below the ten seconds that undici waits for a connection. */
const NOT_CONNECTED_MS = 8_000;

test(
  'a host where no connection comes about holds a call no longer than its time, and closing not at all',
  async () => {
    const deaf = await deafListener();
    onTestFinished(() => deaf.stop());
    const gateway = httpPaymentGateway(`http://127.0.0.1:${deaf.port}`);
    const attempt = { signal: AbortSignal.timeout(300), deadline: performance.now() + 300 };
    await expect(gateway.authorize('key', request(), attempt)).rejects.toMatchObject({ code: 'provider_timeout' });
    await gateway.close();
  },
  NOT_CONNECTED_MS,
);
