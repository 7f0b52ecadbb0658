/** What a failure proves: only where no connection came to be is it known that nothing happened. */
import { expect, test } from 'vitest';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { DomainFailure, type FailureCode } from '../../src/domain/failures.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { startSandbox } from '../support/sandbox.ts';

const request = { orderId: '1', amountMinor: 1_000, currency: 'GBP', token: 'tok_visa' };

async function failureAt(url: string): Promise<DomainFailure> {
  const gateway = httpPaymentGateway(url);
  const thrown: unknown = await gateway
    .authorize('order-1:authorize:1', request, { signal: AbortSignal.timeout(5_000) })
    .catch((error: unknown) => error);
  await gateway.close();
  if (thrown instanceof DomainFailure) return thrown;
  throw new Error(`it did not fail as it should: ${String(thrown)}`);
}

test.each(['127.0.0.1', 'localhost'])('a connection that %s refuses sent nothing', async (host) => {
  expect(await failureAt(`http://${host}:${await freePort()}`)).toMatchObject({
    code: 'provider_unavailable',
    nothingSent: true,
  });
});

test('a name that nobody has leads nowhere, so nothing was sent', async () => {
  expect(await failureAt('http://pay.invalid')).toMatchObject({ code: 'provider_unavailable', nothingSent: true });
});

test.each([
  ['reset', 'provider_unavailable'],
  ['error', 'provider_unavailable'],
  ['rate_limit', 'provider_rate_limited'],
  ['lie', 'provider_rejected'],
] as const)('%s proves nothing', async (kind, code) => {
  const sandbox = await startSandbox();
  await sandbox.addFault({ dependency: 'payments', kind });
  expect(await failureAt(sandbox.url)).toMatchObject({ code, nothingSent: false });
  await sandbox.stop();
});

test.each<[FailureCode, boolean]>([
  ['breaker_open', true],
  ['bulkhead_full', true],
  ['provider_unavailable', false],
  ['provider_timeout', false],
])('%s by itself: nothing was sent is %s', (code, nothingSent) => {
  expect(new DomainFailure(code, 'a failure')).toMatchObject({ nothingSent });
});
