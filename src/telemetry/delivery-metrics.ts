import type { DeliveryQueue, Settled, Settlement } from '../domain/delivery-ports.ts';
import type { Labels, Metrics } from './metrics.ts';

type Outcome = Labels<'deliveryAttempts'>['outcome'];

/**
 * The same queue; each attempt is counted once its outcome is written. One that was missed comes again and is counted
 * then; one that came too late is another relay's to deliver, which counts the delivery.
 */
export function measuredQueue(queue: DeliveryQueue, metrics: Metrics): DeliveryQueue {
  return {
    claim: (limits) => queue.claim(limits),
    async settle(settlements, relay) {
      const settled = await queue.settle(settlements, relay);
      observe(settlements, settled, metrics);
      return settled;
    },
  };
}

function observe(settlements: readonly Settlement[], { late, missed }: Settled, metrics: Metrics): void {
  const isLate = new Set(late);
  const isMissed = new Set(missed);
  for (const settlement of settlements) {
    const { delivery, result } = settlement;
    if (isMissed.has(delivery.id)) continue;
    const outcome = isLate.has(delivery.id) ? 'late' : outcomeOf(settlement);
    metrics.count('deliveryAttempts', { type: delivery.type, outcome });
    metrics.observe('deliveryAttemptSeconds', { outcome: result.outcome }, result.durationMs / 1000);
    if (outcome === 'delivered') metrics.observe('deliverySeconds', {}, tookMs(settlement) / 1000);
  }
}

function outcomeOf({ verdict }: Settlement): Exclude<Outcome, 'late'> {
  return verdict.next === 'retry' ? 'failed' : verdict.next;
}

/** From the event, by PostgreSQL's clock, to the answer, by this process's: never less than the attempt itself. */
function tookMs({ delivery, result }: Settlement): number {
  const answeredAt = result.startedAt.getTime() + result.durationMs;
  return Math.max(result.durationMs, answeredAt - happenedAt(delivery.body));
}

/** NaN, which is not observed, for what is no envelope: its outcome is written, and nothing may undo that. */
function happenedAt(body: string): number {
  try {
    return Date.parse((JSON.parse(body) as { readonly time: string }).time);
  } catch {
    return NaN;
  }
}
