import { setTimeout as delay } from 'node:timers/promises';
import type { ConfirmChannel, Message, Options } from 'amqplib';
import { type Broker, BrokerUnavailable } from './broker.ts';

/** A channel to publish on, where each message's own end is known. */
export interface Lane {
  /**
   * Resolves once the broker has taken the message and put it into at least one queue. Throws `PublishFailure` if the
   * broker does not want it, `BrokerUnavailable` if its end is not known.
   */
  publish(exchange: string, routingKey: string, content: Buffer, options: Options.Publish): Promise<void>;
  /** Resolves once the channel is gone, whoever closed it. */
  readonly closed: Promise<void>;
  /** Takes no more than a moment: a broker that does not answer is left to the connection's end. */
  close(): Promise<void>;
}

const CLOSE_MS = 2_000;

/** The broker is there and does not do it. */
export class PublishFailure extends Error {
  override readonly name = 'PublishFailure';
  /**
   * `unsendable`: it cannot even be written in the protocol's form. `implicated`: it was under way with others when the
   * broker closed the channel over one of them, and did not say which.
   */
  readonly why: 'unroutable' | 'refused' | 'unsendable' | 'implicated';

  constructor(why: PublishFailure['why'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.why = why;
  }
}

/** Tells a returned message from another one with the same id. */
const PUBLICATION_HEADER = 'x-evenkeel-publication';

/**
 * Opens a lane on a channel of its own and sets it up. Throws `BrokerUnavailable`, or `PublishFailure` with the broker's
 * words if it does not accept the set-up.
 */
export async function openLane(broker: Broker, setUp: (channel: ConfirmChannel) => Promise<unknown>): Promise<Lane> {
  const channel = await broker.channel();
  const lane = laneOn(channel);
  try {
    await setUp(channel);
    return lane;
  } catch (error) {
    throw refusal(error) ?? new BrokerUnavailable(`RabbitMQ: ${String(error)}`, { cause: error });
  }
}

/** A lane on a channel that has other uses too. */
export function laneOn(channel: ConfirmChannel): Lane {
  const returned = new Map<string, string>();
  let publications = 0;
  let underWay = 0;
  /** What the broker said when it closed the channel; undefined if the connection broke. */
  let closedBecause: PublishFailure | undefined;
  channel.on('error', (error) => {
    const said = refusal(error);
    closedBecause = said && underWay > 1 ? implicated(said) : said;
  });
  // It comes before the confirmation of the same message.
  channel.on('return', ({ fields, properties }: Message) => {
    const publication: unknown = properties.headers?.[PUBLICATION_HEADER];
    const { replyText } = fields as typeof fields & { readonly replyText?: string };
    if (typeof publication === 'string') returned.set(publication, replyText ?? 'returned');
  });
  const closed = new Promise<void>((resolve) => {
    channel.once('close', resolve);
  });

  const send = (exchange: string, routingKey: string, content: Buffer, options: Options.Publish): Promise<void> =>
    new Promise((resolve, reject) => {
      publications += 1;
      underWay += 1;
      const publication = String(publications);
      const headers: unknown = { ...(options.headers as object | undefined), [PUBLICATION_HEADER]: publication };
      channel.publish(exchange, routingKey, content, { ...options, headers, mandatory: true }, (error) => {
        underWay -= 1;
        const reply = returned.get(publication);
        returned.delete(publication);
        if (error === null && reply === undefined) resolve();
        else if (error === null) reject(unroutable(exchange, routingKey, reply ?? ''));
        else reject(isNack(error) ? nacked(exchange) : (closedBecause ?? lost(error)));
      });
    });

  return {
    closed,
    async publish(exchange, routingKey, content, options) {
      try {
        await send(exchange, routingKey, content, options);
      } catch (error) {
        if (error instanceof PublishFailure || error instanceof BrokerUnavailable) throw error;
        underWay -= 1;
        // Thrown at once: by a channel that is closed, or for what cannot be written in the protocol's form.
        if (error instanceof Error && error.name === 'IllegalOperationError') throw closedBecause ?? lost(error);
        throw new PublishFailure('unsendable', `it cannot be sent over AMQP: ${String(error)}`, { cause: error });
      }
    },
    async close() {
      const over = new AbortController();
      const timeUp = delay(CLOSE_MS, undefined, { signal: over.signal }).catch(() => undefined);
      // Its own promise stays open if the connection breaks meanwhile.
      await Promise.race([channel.close().catch(() => undefined), closed, timeUp]);
      over.abort();
    },
  };
}

/** What the broker said if it closed a channel over something (https://www.rabbitmq.com/docs/channels#error-handling). */
function refusal(error: unknown): PublishFailure | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'number') return undefined;
  return new PublishFailure('refused', error.message, { cause: error });
}

function implicated(said: PublishFailure): PublishFailure {
  return new PublishFailure('implicated', `the broker may have refused another message: ${said.message}`, {
    cause: said,
  });
}

function unroutable(exchange: string, routingKey: string, reply: string): PublishFailure {
  return new PublishFailure('unroutable', `exchange '${exchange}' has no queue for '${routingKey}' (${reply})`);
}

function nacked(exchange: string): PublishFailure {
  return new PublishFailure('refused', `a queue behind exchange '${exchange}' refused the message; it may be full`);
}

function lost(cause: unknown): BrokerUnavailable {
  return new BrokerUnavailable('the connection to RabbitMQ broke before the message was confirmed', { cause });
}

/** The library tells a nack from a channel's end by the text alone. */
function isNack(error: unknown): boolean {
  return error instanceof Error && error.message === 'message nacked';
}
