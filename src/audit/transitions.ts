import { isTerminal } from '../domain/order.ts';
import { envelope, type EventEnvelope, type EventType } from '../domain/events.ts';
import type { EventRecord, Finding, OrderRecord } from './records.ts';

/** Whether each change of the order has its event, and each event its change. */
export function transitionFindings(order: OrderRecord): readonly Finding[] {
  const findings: Finding[] = [];
  const events = order.events.filter(({ replaces }) => replaces === null);
  const count = (name: string): number => events.filter(({ type }) => type === `evenkeel.order.${name}.v1`).length;
  const wants = (name: string, number: number, because: string): void => {
    const found = count(name);
    if (found === number) return;
    const problem = `${number} of evenkeel.order.${name}.v1 wanted, because ${because}; ${found} found`;
    findings.push({ check: 'transition', orderId: order.id, record: order.id, problem });
  };

  wants('created', 1, 'every order was created once');
  wants('confirmed', order.confirmedAt === null ? 0 : 1, `confirmed_at is ${order.confirmedAt ?? 'empty'}`);
  for (const end of ['completed', 'partially_completed', 'cancelled', 'rejected'] as const) {
    wants(end, order.status === end ? 1 : 0, `its status is ${order.status}`);
  }
  if (isTerminal(order.status) !== (order.finishedAt !== null)) {
    const problem = `its status is ${order.status} and finished_at is ${order.finishedAt ?? 'empty'}`;
    findings.push({ check: 'transition', orderId: order.id, record: order.id, problem });
  }

  const { fulfillments, payments, attentions } = order;
  const dispatched = fulfillments.filter(({ dispatchedAt }) => dispatchedAt !== null).length;
  wants('dispatched', dispatched, `${dispatched} of its fulfillments have been dispatched`);
  const delivered = fulfillments.filter(({ deliveredAt }) => deliveredAt !== null).length;
  wants('delivered', delivered, `${delivered} of its fulfillments have been delivered`);
  const failed = fulfillments.filter(({ status }) => status === 'failed').length;
  wants('delivery_failed', failed, `${failed} of its fulfillments could not be delivered`);

  const paid = (operation: string): number =>
    payments.filter((entry) => entry.operation === operation && entry.phase === 'success').length;
  for (const [operation, name] of paymentEvents) {
    wants(name, paid(operation), `the payment ledger has ${paid(operation)} successes of ${operation}`);
  }
  const refused = payments.filter(({ phase, code }) => phase === 'failure' && code !== 'never_happened');
  const declined = refused.filter(({ operation }) => operation === 'authorize').length;
  wants('payment_declined', declined, `the payment ledger has ${declined} refused authorizations`);
  const others = refused.length - declined;
  wants('payment_failed', others, `the payment ledger has ${others} other refusals`);

  wants('attention_opened', attentions.opened, `${attentions.opened} attentions were opened`);
  wants('attention_closed', attentions.closed, `${attentions.closed} attentions were closed`);
  return [...findings, ...sequenceFindings(order, events)];
}

const paymentEvents = [
  ['authorize', 'payment_authorized'],
  ['capture', 'payment_captured'],
  ['void', 'payment_voided'],
  ['refund', 'payment_refunded'],
] as const;

function sequenceFindings(order: OrderRecord, events: readonly EventRecord[]): Finding[] {
  const found = new Map(events.map((event) => [event.sequence, event]));
  const wanted = Array.from({ length: order.eventSequence }, (_, index) => index + 1);
  const missing = wanted.filter((sequence) => !found.has(sequence));
  const extra = events.filter(({ sequence }) => sequence < 1 || sequence > order.eventSequence);
  return [
    ...missing.map((sequence) => `event number ${sequence} of ${order.eventSequence} is missing`),
    ...extra.map(
      ({ id, sequence }) => `event ${id} has number ${sequence}; the order has numbered ${order.eventSequence}`,
    ),
  ].map((problem) => ({ check: 'event' as const, orderId: order.id, record: order.id, problem }));
}

/** Whether what was stored to be sent says the same as the row that stands for it. */
export function envelopeFindings(order: OrderRecord): readonly Finding[] {
  return order.events.flatMap((event) => {
    const problem = envelopeProblem(order, event);
    return problem === undefined ? [] : [{ check: 'event' as const, orderId: order.id, record: event.id, problem }];
  });
}

function envelopeProblem(order: OrderRecord, event: EventRecord): string | undefined {
  let stored: EventEnvelope;
  try {
    stored = JSON.parse(event.body) as EventEnvelope;
  } catch {
    return 'its envelope is no JSON';
  }
  const wanted = envelope({
    id: event.id,
    type: event.type as EventType,
    time: new Date(event.at),
    orderId: order.id,
    sequence: event.sequence,
    traceparent: stored.traceparent,
    replaces: event.replaces ?? undefined,
    data: stored.data,
  });
  for (const name of Object.keys(wanted) as (keyof EventEnvelope)[]) {
    if (name !== 'data' && wanted[name] !== stored[name]) {
      return `its envelope says ${name} ${String(stored[name])}, its row ${String(wanted[name])}`;
    }
  }
  return undefined;
}
