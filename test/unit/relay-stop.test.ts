import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AttemptResult } from '../../src/domain/delivery.ts';
import { MemoryQueue, away, delivered } from '../support/memory-queue.ts';
import { hangs, never, pass, running } from '../support/running-relay.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('a relay that is told to stop', () => {
  test('takes nothing more, and lets what is under way come to its end', async () => {
    const { queue, sender, stop, isOver } = running({ concurrency: 2 });
    sender.answer = async () => {
      await new Promise((resolve) => setTimeout(resolve, 900));
      return delivered();
    };
    queue.add(5);
    await pass(100);
    stop.abort();
    await pass(700);
    expect(isOver()).toBe(false);
    await pass(200);
    expect(isOver()).toBe(true);
    expect(queue.rows.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['delivered', 1],
      ['delivered', 1],
      ...Array.from({ length: 3 }, () => ['pending', 0]),
    ]);
  });

  test.each([
    ['gives up when it is told to', hangs],
    ['does not', () => never<AttemptResult>()],
  ])('hands back what has no answer after 10 s, without a strike, where the sender %s', async (_how, answer) => {
    const { queue, sender, stop, isOver } = running({ timeoutMs: 60_000 });
    sender.answer = answer;
    queue.add(1);
    await pass(250);
    stop.abort();
    await pass(9_900);
    expect(queue.settles).toEqual([]);
    await pass(2_200);
    expect(isOver()).toBe(true);
    expect(queue.rows).toMatchObject([{ status: 'pending', token: null, delivery: { strikes: 0 } }]);
    expect(queue.rows[0]?.dueAt).toBeLessThanOrEqual(Date.now());
    expect(queue.settles).toMatchObject([[{ verdict: { blames: 'nothing', throttleMs: null, disables: false } }]]);
  });

  test('takes for an answer what came in spite of being given up', async () => {
    const { queue, sender, stop } = running({ timeoutMs: 60_000 });
    sender.answer = (_event, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(delivered())));
    queue.add(1);
    await pass(250);
    stop.abort();
    await pass(12_000);
    expect(queue.count('delivered')).toBe(1);
  });

  test('ends though the store is away, and says what it could not write', async () => {
    const { queue, stop, isOver, said } = running();
    queue.beforeSettle = () => Promise.reject(away);
    queue.add(3);
    await pass(1_000);
    stop.abort();
    await pass(5_100);
    expect(isOver()).toBe(true);
    expect(said('warn', 'outcomes not written')).toMatchObject([['warn', expect.anything(), { outcomes: 3 }]]);
    const tries = queue.settles.length;
    await pass(60_000);
    expect(queue.settles).toHaveLength(tries);
  });

  test('ends at once where it was told before it began', async () => {
    const queue = new MemoryQueue();
    queue.add(1);
    const relay = running({ queue });
    relay.stop.abort();
    await pass(300);
    expect(relay.isOver()).toBe(true);
  });
});
