import type { ApiDeps } from '../../src/api/deps.ts';
import { type BreakerView, breakerNames } from '../../src/domain/breakers.ts';
import type { Asked } from './api-delivery-fakes.ts';

const at = '2026-01-02T03:04:05.000Z';
const auto = { state: 'auto', reason: null, actor: null, at: null } as const;
const views = breakerNames.map((name): BreakerView => ({ name, forced: auto, workers: [], transitions: [] }));

/** Breakers, quotes, erasures and payloads that say yes. */
export function resilienceFakes(
  asked: Asked,
): Pick<ApiDeps, 'breakers' | 'codecOrigins' | 'erasures' | 'payloads' | 'shippingQuotes'> {
  const [payment] = views;
  if (payment === undefined) throw new Error('there is no breaker');
  return {
    breakers: {
      list: () => asked(views, 'breakers.list'),
      force: (name, forcing) => asked({ ...payment, name }, 'breakers.force', name, forcing),
    },
    shippingQuotes: {
      quote: ({ currency }) =>
        asked({ amountMinor: 500, currency, source: 'carrier', quotedAt: at }, 'shippingQuotes.quote'),
    },
    erasures: {
      erase: (customerId, request) =>
        asked(
          { id: '5f0c3c1e-8f8a-4f43-9d43-0c6f1a2b3c4d', customerId: 'erased-5f0c3c1e', orders: 2, at },
          'erasures.erase',
          customerId,
          request,
        ),
    },
    payloads: {
      namespace: 'default',
      encode: (payloads) => asked(payloads, 'payloads.encode'),
      decode: (payloads) => asked(payloads, 'payloads.decode'),
    },
    codecOrigins: [],
  };
}
