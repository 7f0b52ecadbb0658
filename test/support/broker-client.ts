/** What a shop does at its RabbitMQ: hand in orders, bind queues, and take what lies in them. */
import { type ConfirmChannel, type GetMessage, connect } from 'amqplib';
import { newKey, newOrder } from './stack.ts';
import { waitFor } from './wait.ts';

export const SUBMIT = 'evenkeel.orders.submit';
export const DEAD = 'evenkeel.orders.dead';

/** Does `work` on a connection of its own, since one for all would die with the broker. */
export async function onBroker<T>(url: string, work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
  const connection = await connect(url, { timeout: 5_000 });
  connection.on('error', () => undefined);
  const closed = new Promise((resolve) => {
    connection.once('close', resolve);
  });
  try {
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    return await work(channel);
  } finally {
    // Its own promise stays open if the broker dies before it answers.
    await Promise.race([connection.close().catch(() => undefined), closed]);
  }
}

export interface OrderMessage {
  readonly key: string;
  readonly messageId: string;
  readonly body: string;
}

export function orderMessage(changes: Partial<OrderMessage> = {}): OrderMessage {
  const key = changes.key ?? newKey();
  return { key, messageId: key, body: JSON.stringify(newOrder()), ...changes };
}

/** As a good client does: persistent, confirmed, and again where that did not come, whatever becomes of the broker. */
export async function handIn(url: string, { key, messageId, body }: OrderMessage): Promise<void> {
  const options = { messageId, persistent: true, headers: { 'idempotency-key': key } };
  const confirmed = (channel: ConfirmChannel): Promise<true> =>
    new Promise((resolve, reject) => {
      channel.sendToQueue(SUBMIT, Buffer.from(body), options, (error: unknown) =>
        error === null ? resolve(true) : reject(error),
      );
    });
  const attempt = (): Promise<boolean> =>
    onBroker(url, async (channel) => {
      await channel.assertQueue(SUBMIT, { durable: true });
      return confirmed(channel);
    });
  await waitFor(`${key} is confirmed`, () => attempt().catch(() => false));
}

/** A durable queue, named as the exchange that it gets all of. */
export async function bind(url: string, exchange: string): Promise<void> {
  await onBroker(url, async (channel) => {
    await channel.assertExchange(exchange, 'topic', { durable: true });
    await channel.assertQueue(exchange, { durable: true });
    await channel.bindQueue(exchange, exchange, '#');
  });
}

/** Takes all that lies there. */
export async function drain(url: string, queue: string): Promise<GetMessage[]> {
  return onBroker(url, async (channel) => {
    const got: GetMessage[] = [];
    for (;;) {
      const next = await channel.get(queue, { noAck: true });
      if (next === false) return got;
      got.push(next);
    }
  });
}

/** A line of what `evenkeel audit events --receipts` reads. */
export interface QueueReceipt {
  readonly eventId: string;
  readonly subject: string;
  readonly sequence: number;
  readonly late: false;
}

/** What a consumer that goes by the event's id keeps of them. */
export function receiptsOf(messages: readonly GetMessage[]): QueueReceipt[] {
  const byId = new Map<string, QueueReceipt>();
  for (const { content } of messages) {
    const { id, subject, sequence } = JSON.parse(content.toString()) as Record<'id' | 'subject' | 'sequence', string>;
    if (!byId.has(id)) byId.set(id, { eventId: id, subject, sequence: Number(sequence), late: false });
  }
  return [...byId.values()];
}
