import type { ConsumerTarget } from '../domain/consumers.ts';
import type { EventSender } from '../domain/delivery-ports.ts';
import type { OrderQueue } from '../domain/message-ports.ts';
import type { SpanAttributes, Tracing } from './spans.ts';
import { parseTraceparent } from './trace-context.ts';

/**
 * A span for each attempt to deliver an event, below the change that wrote the event and not below whatever the relay
 * does just now. What the sender sends along is this span's context.
 */
export function tracedSender(sender: EventSender, tracing: Tracing): EventSender {
  return {
    send(event, destination, attempt) {
      const { traceparent, correlationid } = JSON.parse(event.body) as Envelope;
      const { consumerId, target } = destination;
      const options = {
        kind: target.kind === 'amqp' ? ('producer' as const) : ('client' as const),
        attributes: {
          'evenkeel.event.id': event.eventId,
          'evenkeel.consumer.id': consumerId,
          'evenkeel.order.id': correlationid,
          ...aboutTarget(target, event.type),
        },
        parent: traceparent,
      };
      return tracing.span(`deliver ${event.type}`, options, async (span) => {
        const result = await sender.send(event, destination, attempt);
        if (target.kind === 'http') span.note({ 'http.response.status_code': result.status ?? undefined });
        if (result.outcome === 'failed') span.fail(result.cause ?? '_OTHER');
        return result;
      });
    },
    close: () => sender.close(),
  };
}

/** A ping has neither. */
interface Envelope {
  readonly traceparent?: string;
  readonly correlationid?: string;
}

/** Path and query of a webhook are the consumer's own business, and may be its secret; who gets a mail is nobody's here. */
function aboutTarget(target: ConsumerTarget, eventType: string): SpanAttributes {
  if (target.kind === 'http') {
    const url = URL.parse(target.url);
    const port = url?.port ?? '';
    return {
      'http.request.method': 'POST',
      'server.address': url?.hostname,
      'server.port': port === '' ? undefined : Number(port),
    };
  }
  if (target.kind === 'mail') return {};
  return {
    'messaging.system': 'rabbitmq',
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
    'messaging.destination.name': target.exchange,
    'messaging.rabbitmq.destination.routing_key': target.routingKey ?? eventType,
  };
}

/** A trace for each order message. Its sender's context is not trusted: it is linked. */
export function tracedOrderQueue(queue: OrderQueue, tracing: Tracing): OrderQueue {
  return {
    consume: (prefetch, handle, signal) =>
      queue.consume(
        prefetch,
        (message) => {
          const { traceparent } = message;
          const links = traceparent !== undefined && parseTraceparent(traceparent) ? [traceparent] : [];
          const attributes = { 'messaging.system': 'rabbitmq', 'messaging.operation.type': 'process' };
          return tracing.span('process order message', { kind: 'consumer', root: true, attributes, links }, () =>
            handle(message),
          );
        },
        signal,
      ),
  };
}
