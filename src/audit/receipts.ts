import type { DeliveryRecord, Finding, OrderRecord, ReceiptRecord } from './records.ts';

/** The receipts of one consumer by its own store, and whether each was asked for by a delivery. */
export class Receipts {
  readonly #consumerId: string;
  readonly #byEvent = new Map<string, ReceiptRecord>();
  readonly #claimed = new Set<string>();
  readonly #twice: ReceiptRecord[] = [];
  readonly #askedAt: Date | undefined;

  /** What was delivered after `askedAt` may have come too late to be among them; without it, all should be there. */
  constructor(consumerId: string, receipts: readonly ReceiptRecord[], askedAt?: Date) {
    this.#consumerId = consumerId;
    this.#askedAt = askedAt;
    for (const receipt of receipts) {
      if (this.#byEvent.has(receipt.eventId)) this.#twice.push(receipt);
      this.#byEvent.set(receipt.eventId, receipt);
    }
  }

  get count(): number {
    return this.#byEvent.size;
  }

  /** Of one order: delivered events without a receipt, receipts of what was never sent, or of another number. */
  findings(order: OrderRecord): Finding[] {
    return order.deliveries
      .filter(({ consumerId }) => consumerId === this.#consumerId)
      .flatMap((delivery) => {
        const receipt = this.#byEvent.get(delivery.eventId);
        this.#claimed.add(delivery.eventId);
        const problem =
          receipt === undefined
            ? this.#shouldBeThere(delivery) && 'it was delivered, and the consumer has no receipt'
            : delivery.attempts === 0
              ? 'the consumer has a receipt, and it was never sent'
              : receipt.sequence !== delivery.sequence &&
                `the consumer has it as number ${receipt.sequence}, and it is ${delivery.sequence}`;
        return problem === false ? [] : [finding(order.id, delivery.eventId, problem)];
      });
  }

  #shouldBeThere({ status, settledAt }: DeliveryRecord): boolean {
    if (status !== 'delivered' || settledAt === null) return false;
    return this.#askedAt === undefined || Date.parse(settledAt) < this.#askedAt.getTime();
  }

  /** After all orders: what the consumer has twice, or got from nowhere, or out of order without telling it as late. */
  rest(): Finding[] {
    const strangers = [...this.#byEvent.values()].filter(({ eventId }) => !this.#claimed.has(eventId));
    return [
      ...this.#twice.map(({ subject, eventId }) => finding(subject, eventId, 'the consumer has two receipts of it')),
      ...strangers.map(({ subject, eventId }) =>
        finding(subject, eventId, 'the consumer has a receipt of what was not meant for it'),
      ),
      ...this.#unordered(),
    ];
  }

  /** Receipts are in the order of their arrival. */
  #unordered(): Finding[] {
    const last = new Map<string, number>();
    return [...this.#byEvent.values()].flatMap(({ eventId, subject, sequence, late }) => {
      const former = last.get(subject) ?? 0;
      if (late) return [];
      last.set(subject, Math.max(former, sequence));
      if (sequence > former) return [];
      return [finding(subject, eventId, `number ${sequence} came after ${former} and was not told as late`)];
    });
  }
}

function finding(orderId: string, record: string, problem: string): Finding {
  return { check: 'receipt', orderId, record, problem };
}
