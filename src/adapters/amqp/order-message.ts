import type { Message, Options } from 'amqplib';

type Headers = Readonly<Record<string, unknown>>;

export function headersOf({ properties }: Message): Headers {
  return properties.headers ?? {};
}

export function messageIdOf({ properties }: Message): string | undefined {
  const id: unknown = properties.messageId;
  return typeof id === 'string' ? id : undefined;
}

/** How often a message was sent again from the dead letters; what is no such number is none. */
export function roundOf(headers: Headers): number {
  const round = headers['x-evenkeel-round'];
  return typeof round === 'number' && Number.isInteger(round) && round > 0 && round <= LARGEST ? round : 0;
}

/** What fits into the inbox's column, with room for one more. */
const LARGEST = 1_000_000_000;

/**
 * The properties of a copy: those of the message, with `ours` over its headers. The broker's own, such as where it died
 * and when it expires, are left behind: each copy has a story of its own, and must not expire.
 */
export function copyProperties({ properties }: Message, ours: Headers): Options.Publish {
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
