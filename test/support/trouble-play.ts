import { type Move, type TroublePolicy, nextMove, nothingTried, remember } from '../../src/domain/consumer-trouble.ts';
import type { MemoryConsumer } from './memory-consumer.ts';

export const HOUR_MS = 60 * 60_000;
export const policy: TroublePolicy = {
  firstProbeMs: 1_000,
  longestProbeMs: 60_000,
  recoveryTickMs: 1_000,
  idleMs: 10 * 60_000,
  giveUpMs: 72 * HOUR_MS,
};

/** Plays the workflow against `consumer`, looking as often as it is told to, or sooner where `hastened` says so. */
export function play(
  consumer: MemoryConsumer,
  {
    until,
    hastened = () => undefined,
    random = () => 0.5,
    happens = () => undefined,
    epoch = 1,
  }: {
    readonly until: number;
    readonly hastened?: () => number | undefined;
    readonly random?: () => number;
    readonly happens?: (now: number) => void;
    readonly epoch?: number;
  },
): {
  readonly moves: readonly { readonly at: number; readonly move: Move }[];
  readonly end: string;
  readonly now: number;
} {
  let memory = nothingTried;
  let now = 0;
  const moves: { at: number; move: Move }[] = [];
  while (now < until) {
    happens(now);
    const seen = consumer.observe(epoch, now);
    const next = nextMove(seen, memory, policy, { now, random: random() });
    memory = remember(memory, seen, next, now);
    moves.push({ at: now, move: next });
    if (next.move === 'leave') return { moves, end: 'left', now };
    if (next.move === 'give_up') {
      consumer.giveUp(epoch);
      return { moves, end: 'given_up', now };
    }
    if (next.move === 'end' && consumer.end(epoch)) return { moves, end: 'ended', now };
    if (next.move === 'probe') consumer.probe(epoch);
    if (next.move === 'open') consumer.open(epoch, next.sendLimit);
    const hearsNews = next.move === 'probe' || next.move === 'wait';
    now += Math.min(next.waitMs, (hearsNews ? hastened() : undefined) ?? Infinity);
  }
  return { moves, end: 'goes on', now };
}
