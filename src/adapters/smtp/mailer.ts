import { createTransport } from 'nodemailer';
import { unless } from '../../domain/unless.ts';
import type { AttemptResult } from '../../domain/delivery.ts';
import type { EventSender, OutgoingEvent, Recipients } from '../../domain/delivery-ports.ts';
import { type EventEnvelope, eventSource } from '../../domain/events.ts';
import { type Failure, failureOf } from './mail-failures.ts';
import { mailOf } from './mails.ts';

export interface MailerOptions {
  /** `smtp://` or `smtps://`, with what nodemailer takes as its query; absent: every attempt fails and says so. */
  readonly url: string | undefined;
  /** Sender, `shop@example.com` or `Shop <shop@example.com>`, of consumers without one of their own. */
  readonly from: string;
  /** One attempt takes no longer, the wait for a connection included, in milliseconds. */
  readonly timeoutMs: number;
}

/** Of one process. Mail servers count those of one client, and refuse what is too many. */
const CONNECTIONS = 8;
/** A connection that the server closed while it was idle costs no attempt. */
const STALE_CONNECTIONS = 1;

/**
 * Mails events to the customers of their orders. One counts as delivered once the server took it, or where there is
 * nobody to send it to: an order without an address, or whose customer was erased. Any other event, such as a ping, is
 * no mail: then it counts whether the server lets us in. Where the URL names a user, the password goes over TLS alone,
 * unless the URL's query says `requireTLS=false`.
 */
export function smtpMailer(recipients: Recipients, { url, from, timeoutMs }: MailerOptions): EventSender {
  const transport =
    url === undefined
      ? undefined
      : createTransport({
          pool: true,
          requireTLS: new URL(url).username !== '',
          url,
          maxConnections: CONNECTIONS,
          maxRequeues: STALE_CONNECTIONS,
          dnsTimeout: timeoutMs,
          connectionTimeout: timeoutMs,
          greetingTimeout: timeoutMs,
          socketTimeout: timeoutMs,
          disableFileAccess: true,
          disableUrlAccess: true,
        });

  /** Resolves with what there is to say of a success. */
  const mail = async (event: OutgoingEvent, sender: string, signal: AbortSignal): Promise<string> => {
    if (transport === undefined) throw new NoServer('SMTP_URL is not set: there is no mail server to hand mails to');
    const about = JSON.parse(event.body) as EventEnvelope;
    if (about.source !== eventSource) {
      await unless(signal, transport.verify());
      return 'the mail server lets us in; a mail is sent for events of orders alone';
    }
    const address = await recipientOf(recipients, about.subject);
    if (address === undefined) return 'nothing sent: the order has no e-mail address';
    const { response } = await transport.sendMail({
      from: sender,
      // Not as text, which might be read as several.
      to: { name: '', address },
      ...mailOf(about),
      messageId: `<${event.eventId}@${domainOf(sender)}>`,
      date: new Date(about.time),
      headers: { 'Auto-Submitted': 'auto-generated' },
      signal,
    });
    // Its words may name the recipient.
    return `taken: ${response.slice(0, 3)}`;
  };

  return {
    async send(event, { target }, { signal }) {
      if (target.kind !== 'mail') throw new TypeError(`a target of kind ${target.kind} is not for mail`);
      const startedAt = new Date();
      const began = performance.now();
      const result = (answer: string | null, failure?: Failure): AttemptResult => ({
        outcome: failure === undefined ? 'delivered' : 'failed',
        cause: failure?.cause ?? null,
        status: failure?.status ?? null,
        answer,
        error: failure?.error ?? null,
        retryAfterMs: null,
        startedAt,
        durationMs: Math.round(performance.now() - began),
      });
      const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      try {
        return result(await mail(event, target.from ?? from, over));
      } catch (error) {
        if (error instanceof NoServer) return result(null, failed('mail_unavailable', error.message));
        if (over.aborted) return result(null, failed('timeout', `the mail server did not take it in ${timeoutMs} ms`));
        return result(null, failureOf(error));
      }
    },
    close() {
      transport?.close();
      return Promise.resolve();
    },
  };
}

/** Nobody to hand a mail to, or nobody to ask whom it goes to. */
class NoServer extends Error {}

function failed(cause: Failure['cause'], error: string): Failure {
  return { cause, status: null, error };
}

async function recipientOf(recipients: Recipients, orderId: string): Promise<string | undefined> {
  try {
    return await recipients.find(orderId);
  } catch (error) {
    throw new NoServer('the address could not be looked up', { cause: error });
  }
}

/** Of `Shop <shop@example.com>` too. */
function domainOf(sender: string): string {
  return /@([\w.-]+)>?\s*$/.exec(sender)?.[1] ?? 'localhost';
}
