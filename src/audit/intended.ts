import { matchesType } from '../domain/consumers.ts';
import { contains } from './contains.ts';
import type { ConsumerRecord, DeliveryRecord, EventRecord, Finding, OrderRecord } from './records.ts';

/**
 * An event's time is that of its change, not that of its commit, and so is a consumer's. Within this of a change of the
 * consumer, either is right; it is longer than any transaction may last.
 */
export const UNSURE_MS = 30_000;

/**
 * Whether each event has a delivery for each consumer that was to get it, and for no other. Whom that is, is reckoned
 * anew from the consumers' history, by other code than wrote the deliveries.
 */
export function intendedFindings(order: OrderRecord, consumers: readonly ConsumerRecord[]): readonly Finding[] {
  const byEvent = Map.groupBy(order.deliveries, ({ eventId }) => eventId);
  const known = new Map(order.events.map((event) => [event.id, event]));
  const stray = order.deliveries.filter(({ eventId }) => !known.has(eventId));
  return [
    ...stray.map(({ id, eventId }) => finding(order, `delivery ${id}`, `its event ${eventId} is missing`)),
    ...order.events.flatMap((event) => {
      const deliveries = byEvent.get(event.id) ?? [];
      return event.replaces === null
        ? ofEvent(order, event, deliveries, consumers)
        : ofCorrected(order, event, deliveries, byEvent.get(event.replaces) ?? []);
    }),
  ];
}

function ofEvent(
  order: OrderRecord,
  event: EventRecord,
  deliveries: readonly DeliveryRecord[],
  consumers: readonly ConsumerRecord[],
): Finding[] {
  return consumers.flatMap((consumer) => {
    const found = deliveries.filter(({ consumerId }) => consumerId === consumer.id).length;
    const wanted = isMeantFor(event, consumer);
    if (found > 1) return [finding(order, event.id, `consumer ${consumer.id} has ${found} deliveries of it`)];
    if (wanted === 'yes' && found === 0) {
      return [finding(order, event.id, `consumer ${consumer.id} (${consumer.name}) was to get it and has no delivery`)];
    }
    if (wanted === 'no' && found === 1) {
      return [
        finding(order, event.id, `consumer ${consumer.id} (${consumer.name}) has a delivery and was not to get it`),
      ];
    }
    return [];
  });
}

/** A corrected event goes to the one consumer whose delivery it stands in for. */
function ofCorrected(
  order: OrderRecord,
  event: EventRecord,
  deliveries: readonly DeliveryRecord[],
  replaced: readonly DeliveryRecord[],
): Finding[] {
  const [only, ...more] = deliveries;
  if (only === undefined) return [finding(order, event.id, 'it corrects another event and has no delivery')];
  if (more.length > 0)
    return [finding(order, event.id, `it corrects another event and has ${deliveries.length} deliveries`)];
  const former = replaced.find(({ consumerId }) => consumerId === only.consumerId);
  if (former?.status === 'replaced') return [];
  return [
    finding(order, event.id, `the delivery that it stands in for is ${former?.status ?? 'missing'}, not replaced`),
  ];
}

/** `unsure` close to a change of the consumer that changes the answer. */
export function isMeantFor(event: EventRecord, { history }: ConsumerRecord): 'yes' | 'no' | 'unsure' {
  const at = Date.parse(event.at);
  const answers = new Set<boolean>();
  const inForce = history.findLast((entry) => Date.parse(entry.at) <= at - UNSURE_MS);
  answers.add(wants(inForce?.wants ?? null, event));
  for (const entry of history) {
    if (Math.abs(Date.parse(entry.at) - at) < UNSURE_MS) answers.add(wants(entry.wants, event));
  }
  if (answers.size > 1) return 'unsure';
  return answers.has(true) ? 'yes' : 'no';
}

function wants(entry: ConsumerRecord['history'][number]['wants'], event: EventRecord): boolean {
  if (entry === null || !entry.types.some((pattern) => matchesType(pattern, event.type))) return false;
  return entry.filter === null || contains(JSON.parse(event.body), entry.filter);
}

function finding(order: OrderRecord, record: string, problem: string): Finding {
  return { check: 'intended', orderId: order.id, record, problem };
}
