import { vi } from 'vitest';
import { runRelay } from '../../src/delivery/relay.ts';
import type { AttemptResult } from '../../src/domain/delivery.ts';
import type { DeliveryWorkflows } from '../../src/domain/delivery-ports.ts';
import type { LogFields } from '../../src/telemetry/log.ts';
import { MemoryQueue, MemorySender, failed } from './memory-queue.ts';

export const TIMEOUT_MS = 1_000;
export const LEASE_MS = TIMEOUT_MS + 15_000;
const policy = { maxStrikes: 3, backoffBaseMs: 1_000, backoffCapMs: 60_000, longestRetryAfterMs: 60_000 };
export const never = <T>() => new Promise<T>(() => undefined);
/** What a sender does that waits for an answer in vain, and gives up when it is told to. */
export const hangs = (_event: unknown, signal: AbortSignal) =>
  new Promise<AttemptResult>((resolve) => {
    signal.addEventListener('abort', () => resolve(failed('timeout')));
  });

/** A relay at work, by vitest's fake clock. */
export function running({
  concurrency = 4,
  timeoutMs = TIMEOUT_MS,
  queue = new MemoryQueue(),
  sender = new MemorySender(),
} = {}) {
  const lines: (readonly [level: string, message: string, fields: LogFields])[] = [];
  const say = (level: string) => (fields: LogFields, message: string) => void lines.push([level, message, fields]);
  const log = { info: say('info'), warn: say('warn'), error: say('error') };
  const workflows = {
    startTrouble: vi.fn<DeliveryWorkflows['startTrouble']>(async () => undefined),
    tellTrouble: vi.fn<DeliveryWorkflows['tellTrouble']>(async () => undefined),
    startRedrive: vi.fn<DeliveryWorkflows['startRedrive']>(),
    tellRedrive: vi.fn<DeliveryWorkflows['tellRedrive']>(),
  };
  const stop = new AbortController();
  const settings = { policy, concurrency, timeoutMs };
  let isOver = false;
  void runRelay({ queue, sender, workflows, log }, settings, stop.signal).finally(() => {
    isOver = true;
  });
  const said = (level: string, part: string) => lines.filter(([of, line]) => of === level && line.includes(part));
  return { queue, sender, workflows, said, stop, isOver: () => isOver };
}
/** Lets `ms` of the fake clock pass. */
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
