import { type ConsumerHealth, type Word, healthy, hear } from '../../src/domain/consumer-health.ts';
import type { TroubleObservation } from '../../src/domain/consumer-trouble.ts';
import type { ConsumerState } from '../../src/domain/consumers.ts';

export interface MemoryConsumerOptions {
  /** Deliveries that trouble left behind. */
  readonly backlog?: number;
  readonly maxInFlight?: number;
  readonly isUp?: boolean;
}

/**
 * A consumer in trouble, as PostgreSQL and the relays make it appear: what it is let be sent is sent at once, and heard
 * as the real rules hear it. Times are given by whoever calls, in milliseconds.
 */
export class MemoryConsumer {
  health: ConsumerHealth = {
    ...healthy,
    mode: 'probing',
    epoch: 1,
    failingOrders: ['o1', 'o2', 'o3'],
    failures: 3,
    reason: 'http_500',
  };
  state: ConsumerState = 'enabled';
  sendLimit: number | null = null;
  maxInFlight: number;
  backlog: number;
  isUp: boolean;
  /** Deliveries that were sent, whatever came of them. */
  attempts = 0;
  /** Orders whose deliveries fail also while it is up. */
  poison = 0;
  /** Called in the moment in which its end is asked for. */
  beforeEnd: () => void = () => undefined;
  /** When it was last looked at, or changed; what happens in between happens then. */
  #now = 0;
  #failingSince: number | null = 0;
  #failedAt = 0;

  constructor({ backlog = 20, maxInFlight = 8, isUp = false }: MemoryConsumerOptions = {}) {
    this.backlog = backlog;
    this.maxInFlight = maxInFlight;
    this.isUp = isUp;
  }

  observe(epoch: number, now: number): TroubleObservation {
    this.#now = now;
    const { health, state } = this;
    if (this.#isCurrent(epoch) && state === 'enabled' && health.mode === 'recovering') this.#send(this.sendLimit ?? 1);
    const { mode, successes, failures, relapses } = this.health;
    return {
      isCurrent: this.#isCurrent(epoch),
      state,
      mode,
      successes,
      failures,
      relapses,
      sendLimit: this.sendLimit,
      maxInFlight: this.maxInFlight,
      leftBehind: this.backlog,
      hasPending: this.backlog > 0,
      failingForMs: this.#failingSince === null ? null : now - this.#failingSince,
      failedMsAgo: now - this.#failedAt,
    };
  }

  probe(epoch: number): void {
    if (this.#isCurrent(epoch) && this.state === 'enabled' && this.health.mode === 'probing') this.#send(1);
  }

  open(epoch: number, sendLimit: number): void {
    if (!this.#isCurrent(epoch)) return;
    this.health = { ...this.health, mode: 'recovering' };
    this.sendLimit = sendLimit;
  }

  end(epoch: number): boolean {
    this.beforeEnd();
    const { failures, failingOrders, connectionFailures } = this.health;
    if (!this.#isCurrent(epoch) || this.backlog > 0) return false;
    this.health = { ...healthy, epoch, failures, failingOrders, connectionFailures };
    this.sendLimit = null;
    return true;
  }

  giveUp(epoch: number): void {
    if (this.#isCurrent(epoch)) this.state = 'disabled';
  }

  /** By a person, or by the beginning of its trouble, at `now`. */
  change(state: ConsumerState, now: number): void {
    this.state = state;
    this.#now = now;
    if (this.#failingSince !== null) this.#failingSince = now;
  }

  /** The trouble ended, by whomever, and another one began. */
  nextTrouble(): void {
    this.health = { ...this.health, mode: 'probing', epoch: this.health.epoch + 1 };
  }

  hear(word: Word): void {
    this.health = hear(this.health, word);
    if (word.says === 'works') this.#failingSince = null;
    else {
      this.#failingSince ??= this.#now;
      this.#failedAt = this.#now;
    }
    if (this.health.mode === 'probing') this.sendLimit = null;
  }

  #isCurrent(epoch: number): boolean {
    return this.health.epoch === epoch && this.health.mode !== 'normal';
  }

  #send(count: number): void {
    for (let sent = 0; sent < count && this.backlog > 0; sent += 1) {
      this.attempts += 1;
      const fails = !this.isUp || this.backlog <= this.poison;
      if (!fails) this.backlog -= 1;
      const { mode } = this.health;
      this.hear(
        fails
          ? { says: 'fails', orderId: `o${this.attempts % 5}`, blames: 'answer', reason: 'http_500' }
          : { says: 'works' },
      );
      if (this.health.mode !== mode) return;
    }
  }
}
