import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { pingResult } from './consumer-schemas.ts';
import type { ApiDeps } from './deps.ts';

export const pingType = 'evenkeel.ping.v1';
const pingSource = '/evenkeel/consumers';

/** A test event: an envelope like the others, about the consumer instead of an order, with neither sequence nor data. */
export function pingEnvelope(id: string, consumerId: string, time: Date): Readonly<Record<string, unknown>> {
  return {
    specversion: '1.0',
    id,
    source: pingSource,
    type: pingType,
    time: time.toISOString(),
    subject: consumerId,
    datacontenttype: 'application/json',
    data: {},
  };
}

/** Sends a consumer a test event, once, and says what came of it. Throws `not_found`, `store_unavailable`. */
export async function sendPing(
  { consumers, sender }: Pick<ApiDeps, 'consumers' | 'sender'>,
  consumerId: string,
  signal: AbortSignal,
): Promise<z.output<typeof pingResult>> {
  const destination = await consumers.destination(consumerId);
  const eventId = randomUUID();
  const body = JSON.stringify(pingEnvelope(eventId, consumerId, new Date()));
  const result = await sender.send({ eventId, type: pingType, body }, destination, { signal });
  const { outcome, cause, status, answer, error, durationMs } = result;
  return { eventId, outcome, cause, status, answer, error, durationMs };
}
