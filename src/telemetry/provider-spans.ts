import type { Carrier, PaymentGateway } from '../domain/provider-ports.ts';
import { type Span, type Tracing, orderIdOf, outcomeOf } from './spans.ts';

/** A span for each call of a gateway. A method that the port gains does not compile until it has its own. */
export function tracedGateway<Gateway extends PaymentGateway>(gateway: Gateway, tracing: Tracing): Gateway {
  const call = calls('payment', tracing);
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

/** The key says which step of which order it is; nothing else of a request is anybody's business. */
function calls(provider: string, tracing: Tracing) {
  return <T>(operation: string, key: string, work: () => Promise<T>): Promise<T> => {
    const attributes = {
      'evenkeel.provider': provider,
      'evenkeel.order.id': orderIdOf(key),
      'evenkeel.step.key': key,
    };
    return tracing.span(`${provider} ${operation}`, { kind: 'client', attributes }, async (span: Span) => {
      const answer = await work();
      span.note({ 'evenkeel.outcome': outcomeOf(answer) });
      return answer;
    });
  };
}
