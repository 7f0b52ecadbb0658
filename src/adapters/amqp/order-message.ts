import type { Message, Options } from 'amqplib';
import { type Lane, PublishFailure } from './lane.ts';

type Headers = Readonly<Record<string, unknown>>;

export function headersOf({ properties }: Message): Headers {
  return properties.headers ?? {};
}

/** The longest that the protocol can carry as an id, in bytes. */
const LONGEST_ID = 255;

/** The sender's; what could not be written again, because it was no text, is none. */
export function messageIdOf({ properties }: Message): string | undefined {
  const id: unknown = properties.messageId;
  return typeof id === 'string' && Buffer.byteLength(id) <= LONGEST_ID ? id : undefined;
}

/** One more character than a key may have: as much of it as shows that it is none, and fits into every copy. */
const KEY_READ = 256;

export function idempotencyKeyOf(message: Message): string | undefined {
  const key = headersOf(message)['idempotency-key'];
  return typeof key === 'string' ? key.slice(0, KEY_READ) : undefined;
}

export function traceparentOf(headers: Headers): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === 'string' ? traceparent : undefined;
}

/** The largest that fits into the inbox's column. */
const LARGEST_ROUND = 2_147_483_647;

/** How often a message was sent again from the dead letters; what is no such number is none. */
export function roundOf(headers: Headers): number {
  const round = headers['x-evenkeel-round'];
  return typeof round === 'number' && Number.isInteger(round) && round > 0 ? Math.min(round, LARGEST_ROUND) : 0;
}

/**
 * The properties of a copy: those of the message, with `ours` over its headers. The broker's own, such as where it died
 * and when it expires, are left behind: each copy has a story of its own, and must not expire.
 */
function copyProperties({ properties }: Message, ours: Headers): Options.Publish {
  const kept = Object.entries(properties.headers ?? {}).filter(
    ([name]) => !/^x-(first-|last-)?death|^(CC|BCC)$/.test(name),
  );
  const text = (name: 'contentType' | 'contentEncoding' | 'correlationId' | 'messageId' | 'type' | 'appId') => {
    const value: unknown = properties[name];
    return typeof value === 'string' ? { [name]: value } : {};
  };
  const timestamp: unknown = properties.timestamp;
  return {
    persistent: true,
    ...text('contentType'),
    ...text('contentEncoding'),
    ...text('correlationId'),
    ...text('messageId'),
    ...text('type'),
    ...text('appId'),
    ...(typeof timestamp === 'number' ? { timestamp } : {}),
    headers: { ...Object.fromEntries(kept), ...ours },
  };
}

/**
 * The properties of a copy of a message whose own can be read and not written: nothing but what makes it the same order.
 * With these no copy is unsendable.
 */
function bareProperties(message: Message, ours: Headers): Options.Publish {
  const [messageId, key] = [messageIdOf(message), idempotencyKeyOf(message)];
  return {
    persistent: true,
    ...(messageId === undefined ? {} : { messageId }),
    headers: { ...(key === undefined ? {} : { 'idempotency-key': key }), ...ours },
  };
}

/** Publishes a copy with `ours` over its headers; without the others if they cannot be written. Throws as `lane` does. */
export async function publishCopy(
  lane: Lane,
  { exchange, routingKey }: { readonly exchange: string; readonly routingKey: string },
  message: Message,
  ours: Headers,
): Promise<void> {
  const copy = (properties: Options.Publish) => lane.publish(exchange, routingKey, message.content, properties);
  try {
    await copy(copyProperties(message, ours));
  } catch (error) {
    if (!(error instanceof PublishFailure) || error.why !== 'unsendable') throw error;
    // The order is worth more than they are.
    await copy(bareProperties(message, ours));
  }
}
