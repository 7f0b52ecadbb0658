import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';
import type { OrderStatus } from '../domain/order.ts';
import type { Decision } from '../domain/order-ports.ts';
import type { Attention, NextGeneration } from '../domain/step-ports.ts';
import { type StepName, stepKey, undoKey } from '../domain/steps.ts';
import { LocalLane, type Room, localFirst, own } from './activity-options.ts';
import {
  type CarrierNews,
  type OrderInput,
  cancelSignal,
  carrierSignal,
  decideUpdate,
  orderAttentionKey,
  orderStatusKey,
  progressQuery,
} from './contract.ts';

/** What one run of the order's workflow knows: what it was told, what waits for a person, how often a step was begun. */
export class Run {
  readonly input: OrderInput;
  status: OrderStatus = 'received';
  cancelRequested = false;
  /** Of this order's fulfillments: when each left and arrived, by the carrier's clock. */
  readonly dispatchedAt = new Map<string, string>();
  readonly deliveredAt = new Map<string, string>();
  /** Fulfillments that were given up before they left. */
  readonly cancelled = new Set<string>();
  readonly #attentions = new Map<string, Attention>();
  readonly #decisions = new Map<string, Decision>();
  /** Attentions with a decision that is being looked up in the store. */
  readonly #deciding = new Set<string>();
  readonly #generations: Map<string, number>;
  readonly #listeners = new Set<() => void>();
  readonly #lane = new LocalLane();
  #attentionCount = 0;

  constructor(input: OrderInput) {
    this.input = input;
    this.#generations = new Map(Object.entries(input.generations ?? {}));
    // All handlers stand before the first await: what was said before the workflow began is heard.
    setHandler(cancelSignal, () => this.requestCancel());
    setHandler(carrierSignal, (news) => this.#hear(news));
    setHandler(decideUpdate, (decision) => this.#decide(decision), {
      validator: (decision) => this.#checkDecision(decision),
    });
    setHandler(progressQuery, () => ({
      status: this.status,
      cancelRequested: this.cancelRequested,
      attentions: [...this.#attentions.values()].map(({ attentionId, step, reason }) => ({
        attentionId,
        step,
        reason,
      })),
      fulfillments: Object.fromEntries(
        [...this.dispatchedAt.keys()].map((id) => [id, this.deliveredAt.has(id) ? 'delivered' : 'dispatched']),
      ),
    }));
    this.#describe();
  }

  get orderId(): string {
    return this.input.orderId;
  }

  /** Another cancellation while one is under way changes nothing. */
  requestCancel(): void {
    this.cancelRequested = true;
    this.#notify();
  }

  /**
   * Runs `body` in a scope that `until` cancels, now or as soon as it becomes true by anything that the workflow is
   * told. Rejects with the cancellation then.
   */
  async cancellableWhen<T>(until: () => boolean, body: () => Promise<T>): Promise<T> {
    const scope = new CancellationScope({ cancellable: true });
    const check = (): void => {
      if (until()) scope.cancel();
    };
    this.#listeners.add(check);
    try {
      return await scope.run(async () => {
        check();
        return body();
      });
    } finally {
      this.#listeners.delete(check);
    }
  }

  /** Runs a step inside the workflow task, or durably on trouble; see `localFirst`. */
  localFirst<T>(room: Room, step: (activities: Activities) => Promise<T>): Promise<T> {
    return localFirst(this.#lane, room, step);
  }

  /** The key of a step's present generation; of an undo's, if it names what it undoes. */
  key(step: StepName, fulfillmentId?: string, undoes?: string): string {
    const generation = this.#generations.get(slot(step, fulfillmentId, undoes)) ?? 1;
    if (undoes === undefined) return stepKey(this.orderId, step, generation, fulfillmentId);
    return undoKey(this.orderId, step, { undoes, tries: generation }, fulfillmentId);
  }

  /** Only after the present generation was proved to have no effect. Returns what a replacement must know of it. */
  nextGeneration(step: StepName, fulfillmentId?: string, undoes?: string): NextGeneration {
    const name = slot(step, fulfillmentId, undoes);
    const generation = (this.#generations.get(name) ?? 1) + 1;
    this.#generations.set(name, generation);
    return { slot: name, generation };
  }

  setStatus(status: OrderStatus): void {
    if (this.status === status) return;
    this.status = status;
    upsertSearchAttributes([{ key: orderStatusKey, value: status }]);
    this.#describe();
  }

  /** A new attention's id: unique within the order, over all its workflows. */
  newAttentionId(): string {
    this.#attentionCount += 1;
    return `a${this.input.incarnation}-${this.#attentionCount}`;
  }

  showAttention(attention: Attention): void {
    this.#attentions.set(attention.attentionId, attention);
    this.#showAttentions();
  }

  hideAttention(attentionId: string): void {
    this.#attentions.delete(attentionId);
    this.#showAttentions();
  }

  decisionOn(attentionId: string): Decision | undefined {
    return this.#decisions.get(attentionId);
  }

  #hear({ fulfillmentId, kind, at }: CarrierNews): void {
    // "Delivered" proves "dispatched"; the first news of each kind stays.
    if (!this.dispatchedAt.has(fulfillmentId)) this.dispatchedAt.set(fulfillmentId, at);
    if (kind === 'delivered' && !this.deliveredAt.has(fulfillmentId)) this.deliveredAt.set(fulfillmentId, at);
    this.#notify();
  }

  /** Not async: what releases without an audit log sent, and histories hold, took no time. */
  #decide(decision: Decision): void | Promise<void> {
    const { auditId, attentionId } = decision;
    if (auditId !== undefined) return this.#decideOnRecord({ ...decision, auditId });
    this.#decisions.set(attentionId, decision);
  }

  /** The store has the last word: whoever reaches Temporal can send an update, but not write into the audit log. */
  async #decideOnRecord(decision: Decision & { readonly auditId: string }): Promise<void> {
    const { attentionId, decisionId, action, auditId } = decision;
    this.#deciding.add(attentionId);
    try {
      await CancellationScope.nonCancellable(() =>
        this.localFirst(own, (a) =>
          a.checkDecision({ orderId: this.orderId, attentionId, decisionId, action, auditId }),
        ),
      );
      if (!this.#attentions.has(attentionId)) throw this.#stale(attentionId);
      this.#decisions.set(attentionId, decision);
    } catch (error) {
      throw refusalIn(error);
    } finally {
      this.#deciding.delete(attentionId);
    }
  }

  #stale(attentionId: string): ApplicationFailure {
    const open = [...this.#attentions.keys()].filter((id) => !this.#decisions.has(id) && !this.#deciding.has(id));
    return ApplicationFailure.nonRetryable(
      `attention ${attentionId} is not open (any more); open now: ${open.join(', ') || 'none'}`,
      'attention_stale',
    );
  }

  /** Asked of what comes new, and never again of what is in the history. */
  #checkDecision({ attentionId, action, auditId }: Decision): void {
    if (auditId === undefined) {
      throw ApplicationFailure.nonRetryable(
        'a decision names its record in the audit log; send it by POST /v1/orders/{id}/decisions',
        'decision_not_allowed',
      );
    }
    const attention = this.#attentions.get(attentionId);
    if (!attention || this.#decisions.has(attentionId) || this.#deciding.has(attentionId)) {
      throw this.#stale(attentionId);
    }
    if (!attention.allowed.includes(action)) {
      throw ApplicationFailure.nonRetryable(
        `'${action}' is not allowed for step '${attention.step}'; allowed: ${attention.allowed.join(', ')}`,
        'decision_not_allowed',
      );
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #showAttentions(): void {
    const [first] = this.#attentions.values();
    upsertSearchAttributes([{ key: orderAttentionKey, value: first?.step ?? null }]);
    this.#describe();
  }

  /** What the Temporal Web UI shows of the order at a glance. */
  #describe(): void {
    const { totalMinor, currency } = this.input;
    const lines = [`**${this.status}** · ${totalMinor} ${currency} (minor units)`];
    for (const { attentionId, step, reason, allowed } of this.#attentions.values()) {
      lines.push(`waits for a person: **${step}**, ${reason} (attention ${attentionId}: ${allowed.join(', ')})`);
    }
    setCurrentDetails(lines.join('\n\n'));
  }
}

/** An update fails with the failure itself; what wraps it would only say that an activity failed. */
function refusalIn(error: unknown): unknown {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure ? error.cause : error;
}

function slot(...parts: (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(':');
}
