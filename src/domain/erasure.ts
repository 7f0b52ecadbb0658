/** Forgetting a customer on request: who it was goes, the books stay. */
import type { EventData } from './events.ts';

/** What stands where something of a person stood. */
export const ERASED = 'erased';

/**
 * Codes of ours and of providers, `insufficient_funds`, with what they are about where that is an id of ours. All other
 * words may be somebody's: a provider's that repeat an address, a customer's own.
 */
export const reasonCode = /^[a-z][a-z0-9]*(_[a-z0-9]+)+(: [0-9a-f-]+)?$/;

export interface Erasure {
  readonly id: string;
  /** What the customer's orders go by from now on, so that the books add up; nobody goes by it anywhere else. */
  readonly customerId: string;
  /** Orders that were made nobody's, by this request and those before it. */
  readonly orders: number;
  /** Of the first request. */
  readonly at: string;
}

export interface ErasureRequest {
  readonly actor: string;
  readonly reason: string;
  /** Of the record in the audit log that was committed before. */
  readonly auditId: string;
}

export interface Erasures {
  /**
   * Forgets a customer, a hundred orders at a time: cut short, it goes on where it was when it is asked for again. Asked
   * for again afterwards it forgets what came since, and answers the same where that is nothing. Throws `conflict`,
   * naming the first few, while orders are not at their end or events of theirs are on their way to a consumer.
   */
  erase(customerId: string, request: ErasureRequest): Promise<Erasure>;
}

/** An event's facts without the person: the same fields, so that whoever reads them reads them still. */
export function withoutPerson(data: EventData, pseudonym: string): EventData {
  return Object.fromEntries(
    Object.entries(data).map(([field, value]) => {
      if (value === null) return [field, value];
      if (field === 'customerId') return [field, pseudonym];
      if (field === 'trackingNumber') return [field, ERASED];
      if (field === 'reason') return [field, withoutWords(value)];
      return [field, value];
    }),
  );
}

function withoutWords(reason: unknown): string {
  return typeof reason === 'string' && reasonCode.test(reason) ? reason : ERASED;
}
