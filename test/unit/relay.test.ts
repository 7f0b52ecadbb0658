import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoryQueue, MemorySender, away, delivered, failed } from '../support/memory-queue.ts';
import { LEASE_MS, TIMEOUT_MS, hangs, never, pass, running } from '../support/running-relay.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('what is due', () => {
  test('is sent and settled, the events of an order one after the other without a pause', async () => {
    const { queue, sender } = running();
    await pass(1_000);
    queue.add(20, (index) => ({ orderId: 'o1', sequence: index }));
    await pass(200);
    expect(queue.count('delivered')).toBe(20);
    expect(sender.sent).toEqual(Array.from({ length: 20 }, (_, index) => `e${index + 1}`));
  });

  test('is begun within 200 ms of its event, however long nothing was due', async () => {
    const { queue, sender } = running();
    await pass(60_000);
    queue.add(1);
    await pass(200);
    expect(sender.sent).toEqual(['e1']);
  });

  test('is looked for a few times a second while nothing is due', async () => {
    const { queue } = running();
    await pass(1_000);
    const before = queue.claims.length;
    await pass(60_000);
    expect(queue.claims.length - before).toBeGreaterThanOrEqual(60_000 / 200);
    expect(queue.claims.length - before).toBeLessThanOrEqual(60_000 / 150 + 1);
  });

  test('is not looked for while every place is taken', async () => {
    const { queue, sender } = running({ concurrency: 2 });
    sender.answer = hangs;
    queue.add(5);
    await pass(500);
    expect(sender.sent).toHaveLength(2);
    expect(queue.claims.map(({ limit }) => limit)).toEqual([2]);
  });

  test('is sent again after its wait, and is dead after so many strikes', async () => {
    const { queue, sender, said } = running();
    sender.answer = async () => failed();
    queue.add(1);
    await pass(499);
    expect(sender.sent).toHaveLength(1);
    await pass(60_000);
    expect(queue.rows).toMatchObject([{ status: 'dead', attempts: 3 }]);
    expect(said('info', 'delivery failed')).toHaveLength(2);
    const [[, , fields] = []] = said('warn', 'dead letter');
    expect(fields).toMatchObject({ eventId: 'e1', consumerId: 'c1', orderId: 'o1', cause: 'http_500', strikes: 3 });
  });
});

describe('a consumer that hangs', () => {
  test('holds its own places only, and for no longer than the time-out', async () => {
    const { queue, sender } = running({ concurrency: 4 });
    sender.answer = (event, signal) => (event.eventId === 'e1' ? hangs(event, signal) : Promise.resolve(delivered()));
    queue.add(50);
    await pass(300);
    expect(queue.count('delivered')).toBe(49);
    await pass(TIMEOUT_MS);
    expect(queue.settles.at(-1)).toMatchObject([{ delivery: { id: 1 }, result: { cause: 'timeout' } }]);
  });
});

describe('a sender with a bug', () => {
  test('that throws costs its own attempt, and is told of', async () => {
    const { queue, sender, said } = running();
    sender.answer = (event) =>
      event.eventId === 'e2' ? Promise.reject(new TypeError('oops')) : Promise.resolve(delivered());
    queue.add(3);
    await pass(100);
    expect(queue.count('delivered')).toBe(2);
    expect(queue.rows[1]).toMatchObject({ status: 'pending', token: null, delivery: { strikes: 1 } });
    expect(said('error', 'sender threw')).toMatchObject([['error', expect.anything(), { eventId: 'e2' }]]);
  });

  test('that throws at once instead of rejecting is no other', async () => {
    const { queue, sender } = running();
    sender.send = () => {
      throw new TypeError('oops');
    };
    queue.add(1);
    await pass(100);
    expect(queue.settles).toMatchObject([[{ result: { cause: 'bad_answer' } }]]);
  });

  test('that never answers and never gives up loses its place before the lease ends', async () => {
    const { queue, sender, said } = running({ concurrency: 1 });
    sender.answer = (event) => (event.eventId === 'e1' ? never() : Promise.resolve(delivered()));
    queue.add(2);
    await pass(LEASE_MS - 1);
    expect(queue.rows[1]).toMatchObject({ status: 'delivered' });
    expect(queue.settles[0]).toMatchObject([{ delivery: { id: 1 }, result: { cause: 'timeout' } }]);
    expect(said('error', 'did not give up')[0]).toMatchObject(['error', expect.anything(), { eventId: 'e1' }]);
  });
});

describe('trouble', () => {
  const inTrouble = async (relay: ReturnType<typeof running>) => {
    relay.sender.answer = async () => failed('connection_refused');
    relay.queue.add(2);
    await pass(100);
    expect(relay.queue.healths.get('c1')).toMatchObject({ mode: 'probing', epoch: 1 });
  };

  test('that begins gets its workflow, once', async () => {
    const relay = running();
    await inTrouble(relay);
    relay.queue.add(10);
    await pass(5_000);
    expect(relay.workflows.startTrouble.mock.calls).toEqual([['c1', 1]]);
    expect(relay.said('warn', 'in trouble')).toHaveLength(1);
  });

  test('makes news once a second at most, and the last ones are told', async () => {
    const relay = running({ concurrency: 1 });
    await inTrouble(relay);
    const { tellTrouble } = relay.workflows;
    expect(tellTrouble).not.toHaveBeenCalled();
    relay.queue.healths.forEach((health, id) => relay.queue.healths.set(id, { ...health, mode: 'recovering' }));
    relay.sender.answer = async () => delivered();
    relay.queue.add(20);
    await pass(250);
    expect(relay.queue.count('delivered')).toBe(20);
    expect(tellTrouble.mock.calls).toEqual([['c1']]);
    await pass(5_000);
    // The rest of the twenty, and the two that began it, all within the second after the first.
    expect(relay.queue.count('delivered')).toBe(22);
    expect(tellTrouble).toHaveBeenCalledTimes(2);
  });

  test.each([
    ['fails', () => Promise.reject(away)],
    ['hangs', () => never<void>()],
  ])('slows nothing where Temporal %s', async (_how, answer) => {
    const relay = running();
    relay.workflows.startTrouble.mockImplementation(answer);
    relay.workflows.tellTrouble.mockImplementation(answer);
    await inTrouble(relay);
    relay.sender.answer = async () => delivered();
    relay.queue.add(100);
    await pass(300);
    expect(relay.queue.count('delivered')).toBeGreaterThanOrEqual(100);
    relay.stop.abort();
    await pass(100);
    expect(relay.isOver()).toBe(true);
  });

  test('that a consumer ends itself by 410 is told', async () => {
    const { queue, sender, said } = running();
    sender.answer = async () => failed('http_410');
    queue.add(1);
    await pass(100);
    expect(said('warn', 'disabled')).toMatchObject([['warn', expect.anything(), { consumerId: 'c1' }]]);
  });
});

test('two relays at one queue deliver each event once, and what one leaves behind when it dies', async () => {
  const queue = new MemoryQueue();
  const dying = new MemorySender();
  dying.answer = () => never();
  const first = running({ queue, sender: dying, concurrency: 5 });
  queue.add(200, (index) => ({ orderId: `o${index % 20}`, sequence: index }));
  await pass(50);
  // Dead: its attempts end, its writes do not come.
  queue.beforeSettle = (batch) =>
    batch.some(({ result }) => result.outcome === 'failed') ? never() : Promise.resolve();
  const second = running({ queue, concurrency: 5 });
  await pass(1_000);
  expect(queue.count('delivered')).toBe(150);
  first.stop.abort();
  await pass(2 * LEASE_MS);
  expect(queue.count('delivered')).toBe(200);
  expect(second.sender.sent).toHaveLength(new Set(second.sender.sent).size);
  expect(dying.sent).toHaveLength(5);
});
