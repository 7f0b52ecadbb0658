import type { RedriveState } from '../../src/domain/consumer-ports.ts';
import type { RedriveProgress } from '../../src/domain/redrive.ts';

const ended: ReadonlySet<RedriveState> = new Set(['stopped', 'failed', 'completed']);

/** A redrive, as PostgreSQL keeps it. What comes of those that are sent is the test's to say. */
export class MemoryRedrive {
  state: RedriveState = 'canary';
  readonly ratePerSecond: number;
  readonly total: number;
  sent = 0;
  delivered = 0;
  deadAgain = 0;
  /** Letters that somebody retried or discarded after it took them in. */
  gone = 0;
  /** What comes of what is sent: at once, or never. */
  fate: 'delivered' | 'dead' | 'waits' = 'delivered';
  /** Asked for in each batch, and found. */
  readonly batches: { readonly at: number; readonly count: number; readonly sent: number }[] = [];

  constructor({ total = 10, ratePerSecond = 2 }: { total?: number; ratePerSecond?: number } = {}) {
    this.total = total;
    this.ratePerSecond = ratePerSecond;
  }

  find(): RedriveProgress {
    const { state, ratePerSecond, total, sent, delivered, deadAgain } = this;
    return { state, ratePerSecond, total, sent, delivered, deadAgain };
  }

  sendNext(count: number, at: number): number {
    const canSend = this.state === 'canary' || this.state === 'running';
    const sent = canSend ? Math.max(0, Math.min(count, this.total - this.gone - this.sent)) : 0;
    this.sent += sent;
    if (this.fate === 'delivered') this.delivered += sent;
    if (this.fate === 'dead') this.deadAgain += sent;
    this.batches.push({ at, count, sent });
    return sent;
  }

  advance(state: RedriveState): void {
    if (this.state !== 'paused' && !ended.has(this.state)) this.state = state;
  }
}
