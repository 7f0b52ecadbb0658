import { z } from 'zod';
import type { Carrier } from '../../domain/provider-ports.ts';
import { ProviderClient, type ProviderOptions } from './provider-client.ts';

const booked = z.object({
  outcome: z.literal('booked'),
  shipmentId: z.string().min(1),
  trackingNumber: z.string().min(1),
});
const refused = z.object({ outcome: z.literal('refused'), reason: z.string().min(1) });
const cancelled = z.object({ outcome: z.literal('cancelled') });
const alreadyDispatched = z.object({ outcome: z.literal('already_dispatched') });

const bookAnswer = z.union([booked, refused]);
const cancelAnswer = z.union([cancelled, alreadyDispatched]);
const lookupAnswer = z.object({ result: z.union([booked, refused, cancelled, alreadyDispatched]) });

/** The carrier at `baseUrl`, under its path `/carrier`. One try per call; failures as `ProviderClient` says. */
export function httpCarrier(baseUrl: string, options: ProviderOptions = {}): Carrier & { close(): Promise<void> } {
  const client = new ProviderClient('carrier', baseUrl, options);
  return {
    close: () => client.close(),
    async book(key, { orderId, fulfillmentId, location, address, items }, attempt) {
      const body = { orderId, fulfillmentId, location, address, items };
      return client.call({ method: 'POST', path: '/carrier/shipments', key, body, answer: bookAnswer }, attempt);
    },
    async cancel(key, { shipmentId }, attempt) {
      const path = `/carrier/shipments/${encodeURIComponent(shipmentId)}/cancel`;
      return client.call({ method: 'POST', path, key, answer: cancelAnswer }, attempt);
    },
    async lookup(key, attempt) {
      const path = `/carrier/operations/${encodeURIComponent(key)}`;
      return (await client.lookup({ method: 'GET', path, answer: lookupAnswer }, attempt))?.result;
    },
  };
}
