import type { AttemptResult } from '../../domain/delivery.ts';
import type { EventSender, OutgoingEvent } from '../../domain/delivery-ports.ts';
import { parseNetwork } from '../../domain/ip-address.ts';
import { originProblem } from '../../domain/webhook-url.ts';
import { retryAfterMs } from './retry-after.ts';
import { guardedAgent } from './webhook-connector.ts';
import { type Heard, exchange } from './webhook-exchange.ts';
import { type Failure, failureOf } from './webhook-failures.ts';
import type { Resolve } from './webhook-names.ts';
import { signedHeaders } from './webhook-signing.ts';

export interface WebhookOptions {
  /** One attempt takes no longer, from the look-up of the name to the end of the answer, in milliseconds. */
  readonly timeoutMs: number;
  /** In CIDR form; webhooks may go there beside the public internet. */
  readonly networks: readonly string[];
  /** Instead of the system's resolver. */
  readonly resolve?: Resolve;
  /** The trace context of the attempt; without one the consumer gets the event's. */
  readonly traceparent?: () => string | undefined;
}

const LARGEST_ANSWER_BYTES = 64 * 1024;
const KEPT_ANSWER_BYTES = 4 * 1024;

/**
 * Posts events as signed webhooks. 2xx is success, once the answer has come to its end: one that breaks off or hangs
 * may be of a consumer that died over the event. Any other status is a failure, whatever becomes of its body. Redirects
 * are not followed. At most 64 KiB of an answer are read, none of it decompressed; one that is longer is cut off there
 * and judged by its status. Throws `RangeError` for a network that is none.
 */
export function httpWebhooks({ timeoutMs, networks, resolve, traceparent }: WebhookOptions): EventSender {
  const allowed = networks.map(parseNetwork);
  const closing = new AbortController();
  const agent = guardedAgent({ timeoutMs, allowed, resolve, closed: closing.signal });
  const underWay = new Set<Promise<unknown>>();

  return {
    async send(event, { target, secrets }, { signal }) {
      if (target.kind !== 'http') throw new TypeError(`a target of kind ${target.kind} is not for HTTP`);
      const startedAt = new Date();
      const began = performance.now();
      const result = (failure: Failure | undefined, heard?: Heard): AttemptResult => ({
        outcome: failure === undefined ? 'delivered' : 'failed',
        cause: failure?.cause ?? null,
        status: heard?.status ?? null,
        answer: heard === undefined ? null : textOf(heard),
        error: failure?.error ?? null,
        retryAfterMs: failure === undefined ? null : (retryAfterMs(heard?.headers['retry-after'], Date.now()) ?? null),
        startedAt,
        durationMs: Math.round(performance.now() - began),
      });

      const url = URL.parse(target.url);
      const problem = url === null ? 'is no URL' : originProblem(url, allowed);
      if (url === null || problem !== undefined) {
        return result({ cause: 'address_refused', error: `the consumer's URL ${problem}` });
      }
      const body = Buffer.from(event.body);
      const headers = {
        'content-type': 'application/cloudevents+json; charset=utf-8',
        'user-agent': 'evenkeel/1',
        'accept-encoding': 'identity',
        ...traceContext(traceparent?.(), event),
        ...signedHeaders({ id: event.eventId, body, nowMs: startedAt.getTime() }, secrets),
      };
      const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const exchanging = exchange(agent, { url, headers, body }, LARGEST_ANSWER_BYTES, over);
      underWay.add(exchanging);
      const done = await exchanging;
      underWay.delete(exchanging);
      return result(failureOf(done, url.host, over), done.heard);
    },
    async close() {
      await Promise.all(underWay);
      closing.abort();
      // Not close(): what was given up before it had a connection would keep that waiting for one.
      await agent.destroy();
    },
  };
}

/** The beginning of an answer. What was compressed all the same is named instead: as text it would be noise. */
function textOf({ headers, chunks, bytes }: Heard): string {
  const encoding = [headers['content-encoding'] ?? 'identity']
    .flat()
    .join(', ')
    .replaceAll(/[^\w, -]/g, '');
  if (encoding !== 'identity') return `(${bytes} bytes of ${encoding.slice(0, 40)})`;
  const whole = Buffer.concat(chunks);
  // A character that the limit cuts in two is left out, not taken for a bad one.
  const stream = whole.length > KEPT_ANSWER_BYTES;
  return new TextDecoder().decode(whole.subarray(0, KEPT_ANSWER_BYTES), { stream });
}

function traceContext(current: string | undefined, { body }: OutgoingEvent): Readonly<Record<string, string>> {
  const traceparent = current ?? (JSON.parse(body) as { readonly traceparent?: string }).traceparent;
  return traceparent === undefined ? {} : { traceparent };
}
