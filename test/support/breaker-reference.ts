import type { BreakerState, ForcedState } from '../../src/domain/breakers.ts';
import type { BreakerPolicy, CallOutcome } from '../../src/resilience/breaker.ts';

interface Call {
  readonly epoch: object;
  readonly began: number;
  isOver: boolean;
}

/**
 * What a breaker should do, as simply as it can be said: all calls and all results are kept for ever, and every answer
 * is looked up in them. The epoch is an object, so that nothing of an earlier one can be taken for one of now.
 */
export class ReferenceBreaker {
  state: BreakerState = 'closed';
  #epoch = {};
  #since = 0;
  #openings = 0;
  #calls: Call[] = [];
  /** Of this epoch, in order. */
  #results: { readonly at: number; readonly failed: boolean }[] = [];
  readonly #policy: BreakerPolicy;

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
  }

  /** Undefined if refused. */
  call(now: number): Call | undefined {
    this.look(now);
    if (this.state === 'open' || this.state === 'forced-open') return undefined;
    if (this.state === 'half-open' && this.#probes(now).length >= this.#policy.probes) return undefined;
    const call = { epoch: this.#epoch, began: now, isOver: false };
    this.#calls.push(call);
    return call;
  }

  end(call: Call, outcome: CallOutcome, now: number): void {
    const counts = call.epoch === this.#epoch && !(this.state === 'half-open' && this.#hangs(call, now));
    call.isOver = true;
    if (!counts || outcome === 'ignored') return;
    this.#results.push({ at: now, failed: outcome === 'failed' });
    if (this.state === 'half-open') {
      if (outcome === 'failed') this.#open(now);
      else if (this.#results.length >= this.#policy.probes) this.#become('closed', now);
    } else if (this.state === 'closed' && outcome === 'failed' && this.#isBad(now)) {
      this.#openings = 0;
      this.#open(now);
    }
  }

  force(wanted: ForcedState, now: number): void {
    const isForced = this.state.startsWith('forced');
    if (wanted !== 'auto' && this.state !== `forced-${wanted}`) this.#become(`forced-${wanted}`, now);
    if (wanted === 'auto' && isForced) this.#become('closed', now);
  }

  look(now: number): BreakerState {
    const { openMs, longestOpenMs } = this.#policy;
    let forMs = openMs;
    for (let opening = 1; opening < this.#openings; opening += 1) forMs = Math.min(forMs * 2, longestOpenMs);
    if (this.state === 'open' && now >= this.#since + forMs) this.#become('half-open', now);
    return this.state;
  }

  #isBad(now: number): boolean {
    const { minimumCalls, failureRate, windowMs, inARow } = this.#policy;
    const bucketOf = (at: number): number => Math.floor(at / (windowMs / 10));
    const recent = this.#results.filter(({ at }) => bucketOf(now) - bucketOf(at) < 10);
    const failed = recent.filter((result) => result.failed);
    if (recent.length >= minimumCalls && failed.length / recent.length >= failureRate) return true;

    const row: number[] = [];
    for (const { at, failed: hasFailed } of this.#results.toReversed()) {
      if (!hasFailed || (row[0] ?? now) - at > inARow.gapMs) break;
      row.unshift(at);
    }
    return row.length >= inARow.failures && now - (row[0] ?? now) >= inARow.overMs;
  }

  #probes(now: number): Call[] {
    return this.#calls.filter((call) => call.epoch === this.#epoch && !call.isOver && !this.#hangs(call, now));
  }

  #hangs({ began }: Call, now: number): boolean {
    return now >= began + this.#policy.probeMs;
  }

  #open(now: number): void {
    this.#openings += 1;
    this.#become('open', now);
  }

  #become(state: BreakerState, now: number): void {
    this.state = state;
    this.#epoch = {};
    this.#since = now;
    this.#results = [];
  }
}
