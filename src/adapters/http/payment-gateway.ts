import { z } from 'zod';
import type { PaymentGateway } from '../../domain/provider-ports.ts';
import { ProviderClient, type ProviderOptions } from './provider-client.ts';

const authorized = z.object({ outcome: z.literal('authorized'), authorizationId: z.string().min(1) });
const declined = z.object({ outcome: z.literal('declined'), reason: z.string().min(1) });
const captured = z.object({ outcome: z.literal('captured'), captureId: z.string().min(1) });
const voided = z.object({ outcome: z.literal('voided') });
const refunded = z.object({ outcome: z.literal('refunded'), refundId: z.string().min(1) });
const refused = z.object({ outcome: z.literal('refused'), reason: z.string().min(1) });

const authorizeAnswer = z.union([authorized, declined]);
const captureAnswer = z.union([captured, refused]);
const voidAnswer = z.union([voided, refused]);
const refundAnswer = z.union([refunded, refused]);
const lookupAnswer = z.object({ result: z.union([authorized, declined, captured, voided, refunded, refused]) });

/**
 * The payment gateway at `baseUrl`, under its path `/payments`. One try per call; failures as `ProviderClient` says.
 * No failure ever contains the payment token.
 */
export function httpPaymentGateway(
  baseUrl: string,
  options: ProviderOptions = {},
): PaymentGateway & { close(): Promise<void> } {
  const client = new ProviderClient('payment gateway', baseUrl, options);
  return {
    close: () => client.close(),
    async authorize(key, { orderId, amountMinor, currency, token }, attempt) {
      const body = { orderId, amountMinor, currency, token };
      const path = '/payments/authorizations';
      return client.call({ method: 'POST', path, key, body, answer: authorizeAnswer, secret: token }, attempt);
    },
    async capture(key, { orderId, amountMinor, currency, authorizationId }, attempt) {
      const body = { orderId, amountMinor, currency, authorizationId };
      return client.call({ method: 'POST', path: '/payments/captures', key, body, answer: captureAnswer }, attempt);
    },
    async void(key, { orderId, amountMinor, currency, authorizationId }, attempt) {
      const body = { orderId, amountMinor, currency, authorizationId };
      return client.call({ method: 'POST', path: '/payments/voids', key, body, answer: voidAnswer }, attempt);
    },
    async refund(key, { orderId, amountMinor, currency, captureId }, attempt) {
      const body = { orderId, amountMinor, currency, captureId };
      return client.call({ method: 'POST', path: '/payments/refunds', key, body, answer: refundAnswer }, attempt);
    },
    async lookup(key, attempt) {
      const path = `/payments/operations/${encodeURIComponent(key)}`;
      return (await client.lookup({ method: 'GET', path, answer: lookupAnswer }, attempt))?.result;
    },
  };
}
