import type { Channel } from 'amqplib';

/** Where shops put their orders, straight or through an exchange of their own. */
export const SUBMIT_QUEUE = 'evenkeel.orders.submit';
/** Where messages go after their last attempt, and the queue behind it that keeps them for a person. */
export const DEAD_EXCHANGE = 'evenkeel.orders.dead';
export const DEAD_QUEUE = 'evenkeel.orders.dead';

/** Where messages spend the wait before their next attempt: a queue for each length, so that none waits behind a longer one. */
export function retryQueue(delayMs: number): string {
  return `${SUBMIT_QUEUE}.retry.${delayMs}`;
}

/**
 * Declares all of it; what is there already must be alike. The queues are of the kind that is the virtual host's default
 * (`default_queue_type`), so that whoever wants quorum queues gets them.
 */
export async function declareTopology(channel: Channel, retryDelaysMs: readonly number[]): Promise<void> {
  await channel.assertQueue(SUBMIT_QUEUE, { durable: true });
  await declareDeadLetters(channel);
  for (const delayMs of new Set(retryDelaysMs)) {
    await channel.assertQueue(retryQueue(delayMs), {
      durable: true,
      messageTtl: delayMs,
      deadLetterExchange: '',
      deadLetterRoutingKey: SUBMIT_QUEUE,
    });
  }
}

export async function declareDeadLetters(channel: Channel): Promise<void> {
  await channel.assertExchange(DEAD_EXCHANGE, 'direct', { durable: true });
  await channel.assertQueue(DEAD_QUEUE, { durable: true });
  await channel.bindQueue(DEAD_QUEUE, DEAD_EXCHANGE, SUBMIT_QUEUE);
}
