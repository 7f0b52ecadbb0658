import { setTimeout as delay } from 'node:timers/promises';
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import type { MessageFailure, OrderQueue, QueuedOrder } from '../../domain/message-ports.ts';
import type { Broker, BrokerOptions } from './broker.ts';
import { type Lane, PublishFailure, laneOn } from './lane.ts';
import { headersOf, idempotencyKeyOf, messageIdOf, publishCopy, roundOf, traceparentOf } from './order-message.ts';
import { DEAD_EXCHANGE, SUBMIT_QUEUE, declareTopology, retryQueue } from './order-topology.ts';
import { YOUNG_MS } from './reconnection.ts';
import { unless } from '../../domain/unless.ts';

export interface OrderQueueOptions extends BrokerOptions {
  /** The waits after the first, second … failure; the last for all further ones. */
  readonly retryDelaysMs?: readonly number[];
}

const RETRY_DELAYS_MS = [1_000, 5_000, 30_000, 120_000] as const;
/** Before the queue is set up again on a connection that stands, half of it jitter. */
const SET_UP_AGAIN_MS = 1_000;
/** As often on end it may have been chance that orders stopped coming in as soon as they had begun to. */
const MERE_CHANCE = 2;
/** At the end, for what was begun; what takes longer is given up, and handed out again by the broker. */
const DRAIN_MS = 15_000;

/**
 * Orders from `evenkeel.orders.submit`, over a connection of their own, because a message that cannot be read ends the
 * one that it comes by. The queues around it are declared when they are first needed.
 */
export function amqpOrderQueue(
  broker: Broker,
  { report = () => undefined, retryDelaysMs = RETRY_DELAYS_MS }: OrderQueueOptions = {},
): OrderQueue {
  return {
    async consume(prefetch, handle, signal) {
      const underWay = new Set<Promise<void>>();
      const take = (message: QueuedOrder): void => {
        const work = handle(message).finally(() => underWay.delete(work));
        underWay.add(work);
      };
      const own = broker.apart('orders');
      let endedYoung = 0;
      while (!signal.aborted) {
        let begunAt = Number.NaN;
        const begun = (): void => {
          begunAt = performance.now();
        };
        try {
          await own.connected(signal);
          const channel = await unless(signal, own.channel());
          await consumeOn(channel, { prefetch, retryDelaysMs }, { take, begun, underWay }, signal);
        } catch (error) {
          if (signal.aborted) break;
          endedYoung = performance.now() - begunAt < YOUNG_MS ? endedYoung + 1 : 0;
          const line = endedYoung > MERE_CHANCE ? UNREADABLE : 'orders from the queue: set up again';
          report(line, error instanceof Error ? error : new Error(String(error)));
          await delay(SET_UP_AGAIN_MS * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
        }
      }
      await Promise.all(underWay);
      await own.close();
    },
  };
}

/** Told each time, because no order comes in until somebody has done something. */
const UNREADABLE =
  `orders from the queue: they end as soon as they begin, again and again. If RabbitMQ is well, a message near the head of ` +
  `'${SUBMIT_QUEUE}' cannot be read: stop the API processes, take it out in RabbitMQ's management, and start them again`;

interface Handling {
  readonly take: (message: QueuedOrder) => void;
  /** Called when messages begin to come. */
  readonly begun: () => void;
  readonly underWay: ReadonlySet<Promise<void>>;
}

/** Consumes until `signal` fires, and then ends the channel in peace; throws if the channel is gone before. */
async function consumeOn(
  channel: ConfirmChannel,
  { prefetch, retryDelaysMs }: { readonly prefetch: number; readonly retryDelaysMs: readonly number[] },
  { take, begun, underWay }: Handling,
  signal: AbortSignal,
): Promise<void> {
  const lane = laneOn(channel);
  const gone = new AbortController();
  let why: Error | undefined;
  channel.on('error', (error) => {
    why = error;
  });
  void lane.closed.then(() => gone.abort(why ?? new Error('the connection to RabbitMQ broke')));
  const begin = async (): Promise<string> => {
    await declareTopology(channel, retryDelaysMs);
    await channel.prefetch(prefetch);
    const { consumerTag } = await channel.consume(SUBMIT_QUEUE, (message) => {
      // The broker ends a consumer whose queue was deleted. On a new channel it is declared again.
      if (message === null) void lane.close();
      else take(queuedOrder(message, { channel, lane, retryDelaysMs, lost: gone.signal }));
    });
    return consumerTag;
  };
  try {
    const consumerTag = await unless(signal, begin());
    begun();
    await until([signal, gone.signal]);
    if (gone.signal.aborted) throw gone.signal.reason;
    const drain = channel.cancel(consumerTag).then(() => Promise.all(underWay));
    await unless(AbortSignal.any([gone.signal, AbortSignal.timeout(DRAIN_MS)]), drain).catch(() => undefined);
  } finally {
    await lane.close();
    gone.abort(new Error('the channel is closed'));
  }
}

function queuedOrder(
  message: ConsumeMessage,
  on: {
    readonly channel: ConfirmChannel;
    readonly lane: Lane;
    readonly retryDelaysMs: readonly number[];
    readonly lost: AbortSignal;
  },
): QueuedOrder {
  const headers = headersOf(message);
  const copy = async (exchange: string, routingKey: string, failure: MessageFailure): Promise<void> => {
    const send = () => unless(on.lost, publishCopy(on.lane, { exchange, routingKey }, message, noteOf(failure)));
    try {
      await send();
    } catch (error) {
      if (!(error instanceof PublishFailure) || error.why !== 'unroutable') throw error;
      // Somebody deleted a queue of ours.
      await unless(on.lost, declareTopology(on.channel, on.retryDelaysMs));
      await send();
    }
  };
  /** On a channel that is gone there is nobody to be told. */
  const tell = (word: () => void): void => {
    if (!on.lost.aborted) word();
  };
  return {
    messageId: messageIdOf(message),
    idempotencyKey: idempotencyKeyOf(message),
    traceparent: traceparentOf(headers),
    body: message.content,
    round: roundOf(headers),
    lost: on.lost,
    retry: (failure) => {
      const delayMs = on.retryDelaysMs[Math.min(failure.attempts, on.retryDelaysMs.length) - 1] ?? 0;
      return copy('', retryQueue(delayMs), failure);
    },
    // Whoever moves it back, by our command or by hand, takes the next round along.
    park: (failure) => copy(DEAD_EXCHANGE, SUBMIT_QUEUE, { ...failure, round: failure.round + 1 }),
    acknowledge: () => tell(() => on.channel.ack(message)),
    giveBack: () => tell(() => on.channel.nack(message, false, true)),
  };
}

function noteOf({ attempts, error, round }: MessageFailure): Readonly<Record<string, unknown>> {
  return { 'x-evenkeel-attempts': attempts, 'x-evenkeel-error': error, 'x-evenkeel-round': round };
}

/** Resolves when one of them fires. */
async function until(signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals]);
  if (any.aborted) return;
  await new Promise<void>((resolve) => {
    any.addEventListener('abort', () => resolve(), { once: true });
  });
}
