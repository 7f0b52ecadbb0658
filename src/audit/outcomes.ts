import type { ConsumerRecord, DeliveryRecord, Finding, OrderRecord } from './records.ts';

/**
 * Without a reason to wait for so long, a delivery is stuck: a relay takes what is due within a second, and of a backlog
 * what waited the longest.
 */
export const STUCK_MS = 60_000;

/** Whether each delivery's outcome is borne out by its attempts and by what people did, and none is stuck. */
export function outcomeFindings(
  order: OrderRecord,
  consumers: ReadonlyMap<string, ConsumerRecord>,
): readonly Finding[] {
  return order.deliveries.flatMap((delivery) =>
    problemsOf(order, delivery, consumers.get(delivery.consumerId)).map((problem) => ({
      check: 'outcome' as const,
      orderId: order.id,
      record: `delivery ${delivery.id}`,
      problem: `${problem} (event ${delivery.eventId}, consumer ${delivery.consumerId})`,
    })),
  );
}

function problemsOf(order: OrderRecord, delivery: DeliveryRecord, consumer: ConsumerRecord | undefined): string[] {
  if (consumer === undefined) return ['its consumer is missing'];
  const { attempts, logged, loggedDelivered, status, cause, actions } = delivery;
  const problems: string[] = [];
  // Whoever claimed it and died left no entry.
  if (logged > attempts) problems.push(`${attempts} attempts were begun and ${logged} are logged`);
  switch (status) {
    case 'delivered':
      if (loggedDelivered === 0) problems.push('it is delivered, and no attempt in its log was');
      break;
    case 'dead':
      if (cause !== 'consumer_deleted' && logged === loggedDelivered) {
        problems.push(`it is dead by ${cause ?? 'no cause'}, and no attempt in its log failed`);
      }
      break;
    case 'replaced':
      if (!actions.includes('edit')) problems.push('it is replaced, and nobody edited it');
      break;
    case 'discarded':
      if (!actions.includes('discard')) problems.push('it is discarded, and nobody did so');
      break;
    case 'pending':
      if (isStuck(order, delivery, consumer)) {
        problems.push(`it is due for ${Math.round(delivery.dueForMs / 1_000)} s, and nothing explains why it waits`);
      }
      break;
    default:
      return status satisfies never;
  }
  return problems;
}

function isStuck(order: OrderRecord, delivery: DeliveryRecord, consumer: ConsumerRecord): boolean {
  if (delivery.dueForMs < STUCK_MS || delivery.isUnderWay) return false;
  if (consumer.isDeleted) return true;
  if (consumer.state !== 'enabled' || consumer.mode !== 'normal' || isHeldBack(order, delivery)) return false;
  const freeForMs = Math.min(delivery.dueForMs, consumer.openForMs, ...ofPredecessors(order, delivery));
  return freeForMs >= STUCK_MS && !isWorkedOff(consumer, freeForMs);
}

/** Since each of those settled that had to go before it. */
function ofPredecessors(order: OrderRecord, { consumerId, sequence, isLate }: DeliveryRecord): number[] {
  if (isLate) return [];
  return order.deliveries.flatMap((other) =>
    other.settledForMs !== null && other.consumerId === consumerId && other.sequence < sequence
      ? [other.settledForMs]
      : [],
  );
}

/** A backlog may take its time while the consumer is at work on it, and on nothing that is a minute younger. */
function isWorkedOff({ lastAttemptForMs, youngestSentForMs }: ConsumerRecord, freeForMs: number): boolean {
  if (lastAttemptForMs === null || lastAttemptForMs >= STUCK_MS) return false;
  return youngestSentForMs === null || youngestSentForMs > freeForMs - STUCK_MS;
}

/** Behind an earlier event of the same order; that one has to explain itself. */
function isHeldBack(order: OrderRecord, { consumerId, sequence, isLate }: DeliveryRecord): boolean {
  if (isLate) return false;
  return order.deliveries.some(
    (other) =>
      other.status === 'pending' && !other.isLate && other.consumerId === consumerId && other.sequence < sequence,
  );
}
