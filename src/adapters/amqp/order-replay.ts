import type { Broker } from './broker.ts';
import { laneOn } from './lane.ts';
import { headersOf, publishCopy, roundOf } from './order-message.ts';
import { DEAD_QUEUE, SUBMIT_QUEUE, declareDeadLetters } from './order-topology.ts';

/**
 * Moves messages from the dead letters back to where orders come in, the oldest first: `limit` at most, and none that
 * comes to lie there meanwhile. Each is taken away only when the broker has confirmed its copy, so that an end halfway
 * loses none; one may then be there twice, which the inbox sees through. Resolves with how many. Throws
 * `BrokerUnavailable`, or `PublishFailure` if the queue for orders is not there or refuses them.
 */
export async function replayOrders(broker: Broker, limit: number, signal: AbortSignal): Promise<number> {
  const channel = await broker.channel();
  const lane = laneOn(channel);
  try {
    await declareDeadLetters(channel);
    const { messageCount } = await channel.checkQueue(DEAD_QUEUE);
    const most = Math.min(limit, messageCount);
    let moved = 0;
    while (moved < most && !signal.aborted) {
      const message = await channel.get(DEAD_QUEUE);
      if (message === false) break;
      // With its headers, the round above all: by that the inbox knows that a person sent it.
      const ours = { 'x-evenkeel-round': roundOf(headersOf(message)) };
      await publishCopy(lane, { exchange: '', routingKey: SUBMIT_QUEUE }, message, ours);
      channel.ack(message);
      moved += 1;
    }
    return moved;
  } finally {
    await lane.close();
  }
}
