import type { Carrier, PaymentGateway, Quotes, RiskService } from '../domain/provider-ports.ts';
import type { Labels, Metrics } from './metrics.ts';

/** Counts and times each call of a gateway. A method that the port gains does not compile until it is measured too. */
export function measuredGateway<Gateway extends PaymentGateway>(
  gateway: Gateway,
  metrics: Metrics,
  provider: 'payment' | 'payment-fallback' = 'payment',
): Gateway {
  const call = calls(provider, metrics);
  const measured: PaymentGateway = {
    authorize: (key, request, attempt) => call('authorize', () => gateway.authorize(key, request, attempt)),
    capture: (key, request, attempt) => call('capture', () => gateway.capture(key, request, attempt)),
    void: (key, request, attempt) => call('void', () => gateway.void(key, request, attempt)),
    refund: (key, request, attempt) => call('refund', () => gateway.refund(key, request, attempt)),
    lookup: (key, attempt) => call('lookup', () => gateway.lookup(key, attempt)),
  };
  zeroed(provider, measured, metrics);
  return { ...gateway, ...measured };
}

/** Counts and times each call of a carrier. */
export function measuredCarrier<C extends Carrier>(carrier: C, metrics: Metrics): C {
  const call = calls('carrier', metrics);
  const measured: Carrier = {
    book: (key, request, attempt) => call('book', () => carrier.book(key, request, attempt)),
    cancel: (key, request, attempt) => call('cancel', () => carrier.cancel(key, request, attempt)),
    lookup: (key, attempt) => call('lookup', () => carrier.lookup(key, attempt)),
  };
  zeroed('carrier', measured, metrics);
  return { ...carrier, ...measured };
}

export function measuredRisk<Risk extends RiskService>(risk: Risk, metrics: Metrics): Risk {
  const call = calls('risk', metrics);
  const measured: RiskService = {
    assess: (key, facts, attempt) => call('assess', () => risk.assess(key, facts, attempt)),
  };
  zeroed('risk', measured, metrics);
  return { ...risk, ...measured };
}

export function measuredQuotes<Q extends Quotes>(quotes: Q, metrics: Metrics): Q {
  const call = calls('quotes', metrics);
  const measured: Quotes = { quote: (request, attempt) => call('quote', () => quotes.quote(request, attempt)) };
  zeroed('quotes', measured, metrics);
  return { ...quotes, ...measured };
}

type Provider = Labels<'providerCalls'>['provider'];

/** A refusal by the business is an answer like any other. */
function calls(provider: Provider, metrics: Metrics) {
  return async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const begunAt = performance.now();
    const ended = (outcome: Labels<'providerCalls'>['outcome']): void => {
      metrics.count('providerCalls', { provider, operation, outcome });
      metrics.observe('providerSeconds', { provider }, (performance.now() - begunAt) / 1000);
    };
    try {
      const answer = await work();
      ended('completed');
      return answer;
    } catch (error) {
      ended('failed');
      throw error;
    }
  };
}

function zeroed(provider: Provider, port: PaymentGateway | Carrier | RiskService | Quotes, metrics: Metrics): void {
  for (const operation of Object.keys(port)) {
    metrics.count('providerCalls', { provider, operation, outcome: 'completed' }, 0);
    metrics.count('providerCalls', { provider, operation, outcome: 'failed' }, 0);
  }
}
