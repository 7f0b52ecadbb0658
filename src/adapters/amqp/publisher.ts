import type { Message } from 'amqplib';
import type { AttemptResult } from '../../domain/delivery.ts';
import type { EventSender, OutgoingEvent } from '../../domain/delivery-ports.ts';
import { type Broker, BrokerUnavailable } from './broker.ts';
import { type Lane, PublishFailure, openLane } from './lane.ts';
import { unless } from '../../domain/unless.ts';

export interface PublisherOptions {
  /** One attempt takes no longer, in milliseconds. */
  readonly timeoutMs: number;
  /** The trace context of the attempt; without one the consumer gets the event's. */
  readonly traceparent?: () => string | undefined;
}

/**
 * Publishes events to topic exchanges, which it declares. An event counts as delivered when the broker confirmed it and
 * had a queue for it. Without a broker every attempt fails with `broker_unavailable`, and says that AMQP_URL is not set.
 */
export function amqpPublisher(broker: Broker | undefined, { timeoutMs, traceparent }: PublisherOptions): EventSender {
  /** One for each exchange, because the broker closes the channel over one that it refuses. */
  const lanes = new Map<string, Promise<Lane>>();

  const laneOf = (to: Broker, exchange: string): Promise<Lane> => {
    const known = lanes.get(exchange);
    if (known) return known;
    const opening = open(to, exchange);
    lanes.set(exchange, opening);
    const forget = (): void => {
      if (lanes.get(exchange) === opening) lanes.delete(exchange);
    };
    opening.then((lane) => lane.closed.then(forget), forget);
    return opening;
  };

  /** The last of those that are sent one after the other. */
  const queues = new Map<string, Promise<void>>();

  /** On a lane that no other message is on: what the broker then says is said of this one. */
  const publishAlone = (
    to: Broker,
    exchange: string,
    over: AbortSignal,
    send: (lane: Lane) => Promise<void>,
  ): Promise<void> => {
    const turn = async (): Promise<void> => {
      over.throwIfAborted();
      const lane = await unless(over, open(to, exchange));
      try {
        await unless(over, send(lane));
      } finally {
        await lane.close();
      }
    };
    const mine = (queues.get(exchange) ?? Promise.resolve()).then(turn);
    const ended = mine.catch(() => undefined);
    queues.set(exchange, ended);
    const forget = (): void => {
      if (queues.get(exchange) === ended) queues.delete(exchange);
    };
    void ended.then(forget);
    return mine;
  };

  const publish = async (
    event: OutgoingEvent,
    exchange: string,
    routingKey: string,
    over: AbortSignal,
  ): Promise<void> => {
    if (broker === undefined) throw new BrokerUnavailable('AMQP_URL is not set: there is no RabbitMQ to publish to');
    if (broker.blocked !== undefined) throw blockedBy(broker.blocked);
    const send = (lane: Lane) =>
      lane.publish(exchange, routingKey, Buffer.from(event.body), propertiesOf(event, traceparent?.()));
    try {
      await send(await laneOf(broker, exchange));
    } catch (error) {
      if (!(error instanceof PublishFailure) || error.why !== 'implicated') throw error;
      await publishAlone(broker, exchange, over, send);
    }
  };

  return {
    async send(event, { target }, { signal }) {
      const startedAt = new Date();
      const began = performance.now();
      const result = (failure: unknown): AttemptResult => ({
        outcome: failure === undefined ? 'delivered' : 'failed',
        cause: failure === undefined ? null : causeOf(failure),
        status: null,
        answer: null,
        error: failure === undefined ? null : messageOf(failure),
        retryAfterMs: null,
        startedAt,
        durationMs: Math.round(performance.now() - began),
      });
      if (target.kind !== 'amqp') return result(new PublishFailure('refused', `${target.kind} is no target for AMQP`));
      const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      try {
        await unless(over, publish(event, target.exchange, target.routingKey ?? event.type, over));
        return result(undefined);
      } catch (error) {
        if (!over.aborted) return result(error);
        // It holds what we wrote and reads none of it: that says nothing of this event.
        return result(
          broker?.blocked === undefined
            ? new TimedOut(`RabbitMQ did not confirm within ${timeoutMs} ms`)
            : blockedBy(broker.blocked),
        );
      }
    },
    async close() {
      // One that could not be opened needs no closing.
      await Promise.allSettled(Array.from(lanes.values(), async (lane) => (await lane).close()));
    },
  };
}

function open(to: Broker, exchange: string): Promise<Lane> {
  return openLane(to, (channel) => channel.assertExchange(exchange, 'topic', { durable: true }));
}

function messageOf(failure: unknown): string {
  return failure instanceof Error ? failure.message : 'it failed for a reason without words';
}

class TimedOut extends Error {}

function blockedBy(reason: string): BrokerUnavailable {
  return new BrokerUnavailable(`RabbitMQ takes no messages at the moment: ${reason}`);
}

function causeOf(error: unknown): AttemptResult['cause'] {
  if (error instanceof TimedOut) return 'timeout';
  if (error instanceof BrokerUnavailable) return 'broker_unavailable';
  return error instanceof PublishFailure && error.why === 'unroutable' ? 'unroutable' : 'broker_refused';
}

/** The CloudEvents binding for AMQP is for version 1.0 of the protocol; structured mode needs the content type alone. */
function propertiesOf(event: OutgoingEvent, current: string | undefined) {
  const { time, traceparent: ofEvent } = JSON.parse(event.body) as {
    readonly time?: string;
    readonly traceparent?: string;
  };
  const traceparent = current ?? ofEvent;
  const seconds = Math.floor(Date.parse(time ?? '') / 1000);
  return {
    persistent: true,
    contentType: 'application/cloudevents+json',
    messageId: event.eventId,
    type: event.type,
    ...(Number.isNaN(seconds) ? {} : { timestamp: seconds }),
    headers: traceparent === undefined ? {} : { traceparent },
  } satisfies Partial<Message['properties']> & { readonly persistent: boolean };
}
