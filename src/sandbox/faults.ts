import { z } from 'zod';
import { dependencies } from './facts.ts';
import { Problem } from './problem.ts';

const operations = {
  payments: ['authorize', 'capture', 'void', 'refund', 'lookup'],
  carrier: ['book', 'cancel', 'lookup', 'quote'],
  risk: ['assess'],
} as const;

const delayMs = z.int().min(0).max(3_600_000);

/**
 * - `latency`: answers, but only after `latencyMs`
 * - `error`: answers `status` (503 if absent) and does nothing
 * - `rate_limit`: answers 429 with `retryAfterSeconds` (1 if absent) and does nothing
 * - `reset`: cuts the connection and does nothing
 * - `timeout`: never answers and does nothing
 * - `timeout_after_effect`: does it and never answers
 * - `delay_effect`: never answers, and does it only after `latencyMs`
 * - `lie`: does it, and answers 200 with what no contract knows
 */
export const faultBody = z
  .strictObject({
    dependency: z.enum([...dependencies, 'risk']),
    /** All of the dependency's operations if absent. */
    operation: z
      .enum(['authorize', 'capture', 'void', 'refund', 'book', 'cancel', 'lookup', 'quote', 'assess'])
      .optional(),
    kind: z.enum(['latency', 'error', 'timeout', 'timeout_after_effect', 'delay_effect', 'reset', 'rate_limit', 'lie']),
    latencyMs: delayMs.optional(),
    status: z.int().min(400).max(599).optional(),
    retryAfterSeconds: z.int().min(0).max(86_400).optional(),
    /** The share of the calls that it hits, from 0 to 1. */
    rate: z.number().min(0).max(1).default(1),
    /** How many calls it hits before it is used up; without end if absent. */
    count: z.int().positive().optional(),
    match: z.strictObject({ orderId: z.string().optional(), key: z.string().optional() }).optional(),
  })
  .superRefine((fault, context) => {
    const known: readonly string[] = operations[fault.dependency];
    if (fault.operation !== undefined && !known.includes(fault.operation)) {
      const message = `${fault.dependency} has no operation '${fault.operation}'; use one of ${known.join(', ')}`;
      context.addIssue({ code: 'custom', path: ['operation'], message });
    }
    if ((fault.kind === 'latency' || fault.kind === 'delay_effect') && fault.latencyMs === undefined) {
      context.addIssue({ code: 'custom', path: ['latencyMs'], message: `a fault of kind ${fault.kind} needs it` });
    }
  });

export interface Fault extends z.output<typeof faultBody> {
  readonly id: string;
  /** How many calls it has hit. */
  readonly hits: number;
}

export interface Call {
  readonly dependency: Fault['dependency'];
  readonly operation: NonNullable<Fault['operation']>;
  readonly key: string;
  /** Undefined for a look-up of an unknown key, and for a quote. */
  readonly orderId: string | undefined;
}

/** The faults that are scripted at the moment. They live as long as the process. */
export class Faults {
  readonly #faults = new Map<string, Fault>();
  readonly #random: () => number;
  #nextId = 1;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  add(body: z.output<typeof faultBody>): Fault {
    const fault: Fault = { id: `fault-${this.#nextId++}`, ...body, hits: 0 };
    this.#faults.set(fault.id, fault);
    return fault;
  }

  list(): Fault[] {
    return [...this.#faults.values()];
  }

  clear(): void {
    this.#faults.clear();
  }

  remove(id: string): void {
    if (!this.#faults.delete(id)) throw new Problem(404, 'unknown_fault', `there is no fault '${id}'`);
  }

  /** The fault that hits this call, counted: the oldest that matches, is not used up, and is drawn by its rate. */
  draw(call: Call): Fault | undefined {
    const hit = this.list().find((fault) => applies(fault, call) && this.#random() < fault.rate);
    if (hit) this.#faults.set(hit.id, { ...hit, hits: hit.hits + 1 });
    return hit;
  }
}

function applies(fault: Fault, call: Call): boolean {
  return (
    fault.dependency === call.dependency &&
    (fault.operation ?? call.operation) === call.operation &&
    (fault.match?.key ?? call.key) === call.key &&
    (fault.match?.orderId ?? call.orderId) === call.orderId &&
    fault.hits < (fault.count ?? Infinity)
  );
}
