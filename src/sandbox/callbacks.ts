import { createHmac } from 'node:crypto';
import type { Message } from './shipments.ts';

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
const ANSWER_WITHIN_MS = 10_000;
const IN_FLIGHT = 32;

/**
 * The headers that prove who sent `body`, by the Standard Webhooks scheme (https://www.standardwebhooks.com), with the
 * secret's UTF-8 bytes as the key.
 */
export function signatureHeaders(
  secret: string,
  messageId: string,
  at: Date,
  body: string,
): Readonly<Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>> {
  const timestamp = Math.floor(at.getTime() / 1000).toString();
  const mac = createHmac('sha256', Buffer.from(secret, 'utf8')).update(`${messageId}.${timestamp}.${body}`);
  return {
    'webhook-id': messageId,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${mac.digest('base64')}`,
  };
}

/**
 * Sends each message until its receiver answers 2xx, with growing waits between the attempts of one message; the others
 * do not wait for it, so they may overtake it.
 */
export class CallbackSender {
  readonly #secret: string;
  readonly #acknowledged: (messageId: string) => void;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #queue: { message: Message; waitMs: number }[] = [];
  #url: string | undefined;
  #inFlight = 0;

  constructor(options: { url: string | undefined; secret: string; acknowledged: (messageId: string) => void }) {
    this.#url = options.url;
    this.#secret = options.secret;
    this.#acknowledged = options.acknowledged;
  }

  get url(): string | undefined {
    return this.#url;
  }

  /** Where to send from now on; what was held back for want of an address goes out. */
  sendTo(url: string): void {
    this.#url = url;
    this.#fill();
  }

  send(message: Message): void {
    this.#queue.push({ message, waitMs: FIRST_WAIT_MS });
    this.#fill();
  }

  stop(): void {
    this.#stop.abort();
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#waiting.clear();
  }

  #fill(): void {
    while (this.#url !== undefined && !this.#stop.signal.aborted && this.#inFlight < IN_FLIGHT) {
      const next = this.#queue.shift();
      if (!next) return;
      void this.#attempt(this.#url, next.message, next.waitMs);
    }
  }

  async #attempt(url: string, message: Message, waitMs: number): Promise<void> {
    this.#inFlight += 1;
    const accepted = await this.#post(url, message);
    this.#inFlight -= 1;
    if (this.#stop.signal.aborted) return;
    if (accepted) this.#acknowledged(message.messageId);
    else this.#sendLater(message, waitMs);
    this.#fill();
  }

  #sendLater(message: Message, waitMs: number): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      this.#queue.push({ message, waitMs: Math.min(waitMs * 2, LONGEST_WAIT_MS) });
      this.#fill();
    }, waitMs);
    this.#waiting.add(timer);
  }

  async #post(url: string, { messageId, shipmentId, shipmentKey, orderId, fulfillmentId, kind, at }: Message) {
    const body = JSON.stringify({ messageId, shipmentId, shipmentKey, orderId, fulfillmentId, kind, at });
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...signatureHeaders(this.#secret, messageId, new Date(), body),
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      // Nobody there, or no answer in time: the next attempt tells.
      return false;
    }
  }
}
