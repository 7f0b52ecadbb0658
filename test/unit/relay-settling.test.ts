import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { away, delivered, failed } from '../support/memory-queue.ts';
import { LEASE_MS, pass, running } from '../support/running-relay.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('writing outcomes', () => {
  test('takes all that ended while the write before was under way', async () => {
    const { queue } = running({ concurrency: 64 });
    let goOn: (() => void) | undefined;
    queue.beforeSettle = () => new Promise((resolve) => (goOn = resolve));
    queue.add(1);
    await pass(50);
    queue.add(40);
    await pass(200);
    expect(queue.settles.map(({ length }) => length)).toEqual([1]);
    queue.beforeSettle = async () => undefined;
    goOn?.();
    await pass(50);
    expect(queue.settles.map(({ length }) => length)).toEqual([1, 40]);
    expect(queue.count('delivered')).toBe(41);
  });

  test('takes no more than 256 at a time', async () => {
    const { queue } = running({ concurrency: 600 });
    queue.add(600);
    await pass(200);
    expect(queue.settles.map(({ length }) => length)).toEqual([256, 256, 88]);
  });

  test('is tried until the store is back: nothing is sent twice, and no more than there are places', async () => {
    const { queue, sender, said } = running({ concurrency: 3 });
    queue.add(10);
    queue.beforeSettle = () => Promise.reject(away);
    await pass(12_000);
    expect(sender.sent).toHaveLength(3);
    queue.beforeSettle = async () => undefined;
    await pass(4_000);
    expect(queue.count('delivered')).toBe(10);
    expect(sender.sent).toHaveLength(10);
    expect(said('warn', 'writing')).toHaveLength(1);
    expect(said('info', 'works again')).toHaveLength(1);
  });

  test('is given up long after the lease, so that the relay works on, and its places are free', async () => {
    const { queue, sender, said } = running({ concurrency: 3 });
    queue.add(3);
    queue.beforeClaim = () => (queue.claims.length > 1 ? Promise.reject(away) : Promise.resolve());
    queue.beforeSettle = () => Promise.reject(away);
    await pass(2 * LEASE_MS + 4_000);
    expect(said('warn', 'not written in time')).toHaveLength(3);
    queue.beforeClaim = queue.beforeSettle = async () => undefined;
    await pass(4_000);
    expect(queue.count('delivered')).toBe(3);
    expect(sender.sent).toHaveLength(6);
  });

  test('finds the one that cannot be written: the others are, in batches again, and its place is free', async () => {
    const { queue, said } = running({ concurrency: 50 });
    queue.beforeSettle = (batch) =>
      batch.some(({ delivery }) => delivery.id === 23) ? Promise.reject(new TypeError('a bug')) : Promise.resolve();
    queue.add(50);
    await pass(LEASE_MS - 1_000);
    expect(queue.count('delivered')).toBe(49);
    expect(said('error', 'cannot be written')).toMatchObject([['error', expect.anything(), { eventId: 'e23' }]]);
    expect(queue.settles.at(-1)?.length).toBeGreaterThan(1);
    queue.beforeSettle = async () => undefined;
    await pass(5_000);
    expect(queue.count('delivered')).toBe(50);
    queue.add(50);
    await pass(200);
    expect(queue.claims.at(-1)?.limit).toBe(50);
    expect(queue.settles.at(-1)).toHaveLength(50);
  });

  test('goes on for others while somebody has one locked', async () => {
    const { queue, sender, said } = running({ concurrency: 8 });
    queue.beforeSettle = (batch) =>
      batch.some(({ delivery }) => delivery.id === 1) ? Promise.reject(away) : Promise.resolve();
    queue.add(40);
    await pass(LEASE_MS - 5_000);
    expect(queue.count('delivered')).toBe(39);
    queue.beforeSettle = async () => undefined;
    await pass(2_500);
    expect(queue.count('delivered')).toBe(40);
    expect(sender.sent).toHaveLength(40);
    expect(said('error', '')).toEqual([]);
  });

  test('of a row that somebody holds waits for it: no other does, and nothing is told or sent twice', async () => {
    const { queue, sender, said } = running({ concurrency: 4 });
    sender.answer = async () => failed();
    queue.isLocked = ({ id }) => id <= 2;
    queue.add(2);
    await pass(400);
    const tries = queue.settles.length;
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(12);
    sender.answer = async () => delivered();
    queue.add(20);
    await pass(400);
    expect(queue.count('delivered')).toBe(20);
    expect([queue.claims.at(-1)?.limit, said('info', 'delivery failed').length]).toEqual([2, 0]);
    queue.isLocked = () => false;
    await pass(200);
    expect([queue.claims.at(-1)?.limit, said('info', 'delivery failed').length]).toEqual([4, 2]);
    expect(sender.sent).toHaveLength(22);
  });

  test('that comes too late is told, and not taken for an outcome', async () => {
    const { queue, sender, said } = running();
    sender.answer = async () => {
      const [row] = queue.rows;
      if (row !== undefined && row.attempts === 1) Object.assign(row, { token: 'another', dueAt: Date.now() + 5_000 });
      return failed();
    };
    queue.add(1);
    await pass(1_000);
    expect(said('info', 'too late')).toHaveLength(1);
    expect(said('info', 'delivery failed')).toEqual([]);
  });
});

describe('while no delivery can be taken', () => {
  test('it is tried every few seconds, and said once', async () => {
    const { queue, said } = running();
    queue.beforeClaim = () => Promise.reject(away);
    await pass(60_000);
    expect(queue.claims.length).toBeGreaterThan(25);
    expect(queue.claims.length).toBeLessThan(70);
    expect(said('warn', 'taking deliveries')).toHaveLength(1);
    queue.beforeClaim = async () => undefined;
    queue.add(1);
    await pass(3_000);
    expect(queue.count('delivered')).toBe(1);
    expect(said('info', 'taking deliveries: works again')).toHaveLength(1);
  });
});
