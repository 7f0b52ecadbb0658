import { setImmediate } from 'node:timers/promises';
import type { OrderIntakeDeps } from '../../src/delivery/order-intake.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type {
  ArrivedMessage,
  MessageAttempt,
  MessageFailure,
  MessageInbox,
  OrderQueue,
  QueuedOrder,
} from '../../src/domain/message-ports.ts';
import type { Idempotency, IntakeResult, NewOrder, OrderView, StartableOrder } from '../../src/domain/order-ports.ts';

interface Sent {
  readonly messageId: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly body: string;
  readonly round?: number;
}

/** A queue in memory whose waits take no time. */
export class MemoryQueue implements OrderQueue {
  readonly waiting: Sent[] = [];
  dead: (Sent & MessageFailure)[] = [];
  readonly acknowledged: Sent[] = [];
  /** The attempts after which a message was left to come again. */
  readonly retried: number[] = [];
  /** What was done to messages, in order. */
  readonly story: string[] = [];
  underWay = 0;
  /** So many copies are refused before the next is taken. */
  refuseCopies = 0;
  #wake: () => void = () => undefined;

  send(message: Sent): void {
    this.waiting.push(message);
    this.#wake();
  }

  /** What a person does with the dead letters. */
  replay(): void {
    const dead = this.dead;
    this.dead = [];
    for (const message of dead) this.send(message);
  }

  async consume(prefetch: number, handle: (message: QueuedOrder) => Promise<void>, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake());
    const all = new Set<Promise<void>>();
    while (!signal.aborted) {
      // A turn for the timers, so that a message that goes round for ever is seen by the test's deadline.
      await setImmediate();
      if (signal.aborted) break;
      const next = this.underWay < prefetch ? this.waiting.shift() : undefined;
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.underWay += 1;
      const work = handle(this.#queued(next)).finally(() => {
        this.underWay -= 1;
        all.delete(work);
        this.#wake();
      });
      all.add(work);
    }
    await Promise.all(all);
  }

  #queued(message: Sent): QueuedOrder {
    const { messageId, idempotencyKey, body, round = 0 } = message;
    const confirm = async (what: string): Promise<void> => {
      if (this.refuseCopies > 0) {
        this.refuseCopies -= 1;
        throw new Error('the broker refused it');
      }
      this.story.push(what);
    };
    return {
      messageId,
      idempotencyKey,
      body: Buffer.from(body),
      round,
      lost: new AbortController().signal,
      retry: async (failure) => {
        await confirm('retry');
        this.retried.push(failure.attempts);
        this.send({ ...message, round: failure.round });
      },
      park: async (failure) => {
        await confirm('park');
        this.dead.push({ ...message, ...failure, round: failure.round + 1 });
      },
      acknowledge: () => {
        this.story.push('acknowledge');
        this.acknowledged.push(message);
      },
      giveBack: () => {
        this.story.push('give back');
        this.waiting.unshift(message);
      },
    };
  }
}

interface Row {
  digest: string;
  attempts: number;
  round: number;
  lastError: string | null;
  orderId: string | null;
  parked: boolean;
}

/** The inbox in memory, by the rules of the port. */
export class MemoryInbox implements MessageInbox {
  /** What all calls fail with, if anything. */
  trouble: (() => Error) | undefined;
  pings = 0;
  readonly #rows = new Map<string, Row>();
  readonly #begun = new Map<string, number[]>();

  /** The attempts that were counted for a message, one after the other. */
  begun(messageId: string): readonly number[] {
    return this.#begun.get(messageId) ?? [];
  }

  attempts(messageId: string): number | undefined {
    return this.#rows.get(messageId)?.attempts;
  }

  /** So many attempts of which nobody heard the end. */
  count(messageId: string, attempts: number): void {
    this.#rows.set(messageId, { digest: '', attempts, round: 0, lastError: null, orderId: null, parked: false });
  }

  async begin({ messageId, digest, round }: ArrivedMessage): Promise<MessageAttempt> {
    this.#check();
    const known = this.#rows.get(messageId);
    const isSettled = known !== undefined && (known.parked || known.orderId !== null);
    const isAnew =
      known === undefined || (known.digest === digest ? round > known.round && known.orderId === null : isSettled);
    const row: Row = isAnew
      ? {
          digest,
          attempts: 0,
          round: Math.max(round, known?.round ?? 0),
          lastError: null,
          orderId: null,
          parked: false,
        }
      : known;
    this.#rows.set(messageId, row);
    if (row.orderId !== null) return { kind: 'done', orderId: row.orderId };
    const { lastError } = row;
    if (row.parked) return { kind: 'parked', attempts: row.attempts, round: row.round, lastError };
    row.attempts += 1;
    this.#begun.set(messageId, [...this.begun(messageId), row.attempts]);
    return { kind: 'begun', attempts: row.attempts, round: row.round, lastError };
  }

  async done({ messageId, digest }: ArrivedMessage, orderId: string): Promise<void> {
    this.#check();
    Object.assign(this.#row(messageId), { digest, orderId, parked: false, lastError: null });
  }

  async failed(
    { messageId, digest }: ArrivedMessage,
    { attempts, error }: MessageFailure,
    parked: boolean,
  ): Promise<void> {
    this.#check();
    const row = this.#row(messageId);
    // Another copy of it led to its order meanwhile.
    if (row.orderId !== null && row.digest === digest) return;
    Object.assign(row, {
      lastError: error,
      ...(parked ? { digest, attempts, parked, orderId: null } : {}),
    });
  }

  async ping(): Promise<void> {
    this.pings += 1;
    this.#check();
  }

  #check(): void {
    if (this.trouble) throw this.trouble();
  }

  #row(messageId: string): Row {
    const row = this.#rows.get(messageId);
    if (row === undefined) throw new Error(`message ${messageId} was never begun`);
    return row;
  }
}

export interface Scenario {
  readonly accept?: (claim: Idempotency) => Promise<IntakeResult>;
  readonly start?: (order: StartableOrder) => Promise<void>;
}

export function accepted({ key }: Idempotency): IntakeResult {
  const order = { id: `order-${key}`, totalMinor: 100, currency: 'GBP' } as OrderView;
  return { kind: 'created', order };
}

/** Everything else that the intake needs: the body `bad` is no order, `bug` breaks the program, all others are orders. */
export function intakeDeps(queue: OrderQueue, inbox: MessageInbox, scenario: Scenario) {
  const orders: { caller: string; key: string; body: string; traceparent: string | undefined }[] = [];
  const starts: StartableOrder[] = [];
  const lines: string[] = [];
  const log = (_: unknown, line: string): void => void lines.push(line);
  const deps: OrderIntakeDeps = {
    queue,
    inbox,
    log: { info: log, warn: log, error: log },
    traceparent: () => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    intake: {
      async accept(order, claim, traceparent) {
        if (scenario.accept) return scenario.accept(claim);
        const { caller, key } = claim;
        if (orders.some((one) => one.key === key)) return { kind: 'replayed', answer: '', orderId: `order-${key}` };
        orders.push({ caller, key, body: order.customerId, traceparent });
        return accepted(claim);
      },
    },
    handover: {
      start: async (order) => {
        await scenario.start?.(order);
        starts.push(order);
      },
      cancel: () => Promise.reject(new Error('not here')),
      deliver: () => Promise.reject(new Error('not here')),
      decide: () => Promise.reject(new Error('not here')),
      restart: () => Promise.reject(new Error('not here')),
    },
    parseOrder(body) {
      const text = Buffer.from(body).toString();
      if (text === 'bug') throw new TypeError('x is not a function');
      if (text === 'good') return { customerId: text } as NewOrder;
      const errors = [{ pointer: '/items', detail: 'there are none' }];
      throw new DomainFailure('invalid_input', 'that is no order', { errors });
    },
    idempotencyOf: (key, { customerId: bodyHash }) => ({ caller: 'default', key, bodyHash }),
  };
  return { deps, orders, starts, lines };
}
