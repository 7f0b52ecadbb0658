import type { Carrier, PaymentGateway, Quotes, RiskService } from '../domain/provider-ports.ts';
import { type Span, type Tracing, orderIdOf, outcomeOf } from './spans.ts';

/** A span for each call of a gateway. A method that the port gains does not compile until it has its own. */
export function tracedGateway<Gateway extends PaymentGateway>(
  gateway: Gateway,
  tracing: Tracing,
  provider: 'payment' | 'payment-fallback' = 'payment',
): Gateway {
  const call = calls(provider, tracing);
  const traced: PaymentGateway = {
    authorize: (key, request, attempt) => call('authorize', key, () => gateway.authorize(key, request, attempt)),
    capture: (key, request, attempt) => call('capture', key, () => gateway.capture(key, request, attempt)),
    void: (key, request, attempt) => call('void', key, () => gateway.void(key, request, attempt)),
    refund: (key, request, attempt) => call('refund', key, () => gateway.refund(key, request, attempt)),
    lookup: (key, attempt) => call('lookup', key, () => gateway.lookup(key, attempt)),
  };
  return { ...gateway, ...traced };
}

/** A span for each call of a carrier. */
export function tracedCarrier<C extends Carrier>(carrier: C, tracing: Tracing): C {
  const call = calls('carrier', tracing);
  const traced: Carrier = {
    book: (key, request, attempt) => call('book', key, () => carrier.book(key, request, attempt)),
    cancel: (key, request, attempt) => call('cancel', key, () => carrier.cancel(key, request, attempt)),
    lookup: (key, attempt) => call('lookup', key, () => carrier.lookup(key, attempt)),
  };
  return { ...carrier, ...traced };
}

export function tracedRisk<Risk extends RiskService>(risk: Risk, tracing: Tracing): Risk {
  const call = calls('risk', tracing);
  const traced: RiskService = {
    assess: (key, facts, attempt) => call('assess', key, () => risk.assess(key, facts, attempt)),
  };
  return { ...risk, ...traced };
}

/** A quote is for nobody's order yet. */
export function tracedQuotes<Q extends Quotes>(quotes: Q, tracing: Tracing): Q {
  const call = calls('quotes', tracing);
  const traced: Quotes = {
    quote: (request, attempt) => call('quote', undefined, () => quotes.quote(request, attempt)),
  };
  return { ...quotes, ...traced };
}

/** The key says which step of which order it is; nothing else of a request is anybody's business. */
function calls(provider: string, tracing: Tracing) {
  return <T>(operation: string, key: string | undefined, work: () => Promise<T>): Promise<T> => {
    const attributes = {
      'evenkeel.provider': provider,
      ...(key === undefined ? {} : { 'evenkeel.order.id': orderIdOf(key), 'evenkeel.step.key': key }),
    };
    return tracing.span(`${provider} ${operation}`, { kind: 'client', attributes }, async (span: Span) => {
      const answer = await work();
      span.note({ 'evenkeel.outcome': outcomeOf(answer) });
      return answer;
    });
  };
}
