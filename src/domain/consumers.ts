/** Who gets which events, and over what. */
import { eventTypes } from './events.ts';

/** An HTTP endpoint that gets signed webhooks, an exchange of the configured RabbitMQ, or the customers themselves. */
export type ConsumerTarget =
  | { readonly kind: 'http'; readonly url: string }
  /** Without a routing key, the event's type is the key. */
  | { readonly kind: 'amqp'; readonly exchange: string; readonly routingKey: string | null }
  /** Mails to the customer of each event's order. Without a `from`, the configured sender is it. */
  | { readonly kind: 'mail'; readonly from: string | null };

/**
 * What people, or the consumer itself by 410, want: `paused` for a while, `disabled` until somebody enables it. In both
 * its deliveries are held: written, not sent, and not aging.
 */
export const consumerStates = ['enabled', 'paused', 'disabled'] as const;
export type ConsumerState = (typeof consumerStates)[number];

/**
 * How much it is sent: all, one delivery now and then to see whether it is back, or a rising number until what was left
 * behind is sent. Any but `normal` is trouble.
 */
export const consumerModes = ['normal', 'probing', 'recovering'] as const;
export type ConsumerMode = (typeof consumerModes)[number];

/** Which event types a consumer may name: `*` stands for any run of characters. */
export const typePattern = /^[a-z0-9_.*]{1,100}$/;

/**
 * Whether `pattern` takes in `type`. Linear in both, as a regular expression is not: a hundred stars would hold the
 * process up for years.
 */
export function matchesType(pattern: string, type: string): boolean {
  const [head = '', ...parts] = pattern.split('*');
  const tail = parts.pop();
  if (tail === undefined) return pattern === type;
  if (!type.startsWith(head)) return false;
  let at = head.length;
  for (const part of parts) {
    const found = type.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return type.length - tail.length >= at && type.endsWith(tail);
}

/** The types that `pattern` takes in today; none at all is most likely a slip of the pen. */
export function typesMatching(pattern: string): readonly string[] {
  return eventTypes.filter((type) => matchesType(pattern, type));
}

/** `pattern` as SQL's LIKE understands it: what is special there, in our types the underscore, is escaped. */
export function likePattern(pattern: string): string {
  return pattern.replaceAll(/[\\%_]/g, String.raw`\$&`).replaceAll('*', '%');
}

/** The default of a consumer's `maxInFlight`: deliveries under way at a time, over all workers. */
export const DEFAULT_MAX_IN_FLIGHT = 32;
