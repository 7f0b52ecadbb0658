import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runOrderIntake } from '../../src/delivery/order-intake.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { MemoryInbox, MemoryQueue, type Scenario, accepted, intakeDeps } from '../support/memory-orders-queue.ts';
import { waitFor } from '../support/wait.ts';

const away = () => new DomainFailure('store_unavailable', 'the database is away');
const maxRetries = 2;

/** Runs the intake over a queue in memory until the test ends. */
function running(scenario: Scenario = {}, prefetch = 4) {
  const stop = new AbortController();
  const queue = new MemoryQueue();
  const inbox = new MemoryInbox();
  const { deps, orders, starts, lines } = intakeDeps(queue, inbox, scenario);
  const ended = runOrderIntake(deps, { maxRetries, prefetch }, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return { queue, inbox, orders, starts, lines, stop: () => stop.abort(), ended };
}

describe('a message that is understood', () => {
  test('becomes an order, whose workflow is started, and is acknowledged', async () => {
    const { queue, orders, starts } = running();
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('it is acknowledged', () => queue.acknowledged.length === 1);
    expect(orders).toEqual([
      { caller: 'default', key: 'k1', body: 'good', traceparent: expect.stringMatching(/^00-/) },
    ]);
    await waitFor('its workflow is started', () => starts.length === 1);
    expect(starts[0]).toMatchObject({ orderId: 'order-k1', incarnation: 0 });
  });

  test('is acknowledged though Temporal is away: the sweeper will start the workflow', async () => {
    const start = () => Promise.reject(new DomainFailure('workflow_unavailable', 'Temporal is away'));
    const { queue, lines } = running({ start });
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('it is acknowledged', () => queue.acknowledged.length === 1);
    await waitFor('that is said', () => lines.length > 1);
    expect(lines).toContain('workflow not started; the sweeper will start it');
  });

  test('is one order when it comes twice, by one id or by two', async () => {
    const { queue, orders } = running();
    for (const messageId of ['m1', 'm1', 'm2', undefined])
      queue.send({ messageId, idempotencyKey: 'k1', body: 'good' });
    await waitFor('all are acknowledged', () => queue.acknowledged.length === 4);
    expect(orders).toHaveLength(1);
    expect(queue.dead).toEqual([]);
  });

  test('is one order when many copies of it come at once, and none of these is a dead letter', async () => {
    let underWay = 0;
    const accept: Scenario['accept'] = async (claim) => {
      if (underWay > 0) throw new DomainFailure('idempotency_in_progress', 'another one is at it');
      underWay += 1;
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return accepted(claim);
    };
    const { queue, inbox } = running({ accept }, 10);
    for (const _ of Array(10)) queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('all are acknowledged', () => queue.acknowledged.length === 10);
    expect(queue.dead).toEqual([]);
    expect(inbox.begun('m1')).toEqual([1]);
  });

  test('is not taken for another one that has its id', async () => {
    const { queue, orders } = running();
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('it is acknowledged', () => queue.acknowledged.length === 1);
    queue.send({ messageId: 'm1', idempotencyKey: 'k2', body: 'good' });
    await waitFor('both are acknowledged', () => queue.acknowledged.length === 2);
    expect(orders.map(({ key }) => key)).toEqual(['k1', 'k2']);
  });
});

describe('a message that fails', () => {
  test.each([
    ['is no order', { idempotencyKey: 'k1', body: 'bad' }, 'that is no order | /items there are none'],
    ['has no key', { idempotencyKey: undefined, body: 'good' }, 'the header idempotency-key is missing'],
    ['has an unusable key', { idempotencyKey: 'k\n1', body: 'good' }, 'the header idempotency-key is no 1 to 255'],
    ['breaks the program', { idempotencyKey: 'k1', body: 'bug' }, 'x is not a function'],
  ])(
    'because it %s has all of its attempts, and lies among the dead letters with its reason',
    async (_, sent, reason) => {
      const { queue, inbox, orders } = running();
      queue.send({ messageId: 'm1', ...sent });
      queue.send({ messageId: 'm2', idempotencyKey: 'k2', body: 'good' });
      await waitFor('it is parked', () => queue.dead.length === 1 && queue.waiting.length === 0);
      expect(inbox.begun('m1')).toEqual([1, 2, 3]);
      expect(queue.retried).toEqual([1, 2]);
      expect(queue.dead[0]).toMatchObject({ messageId: 'm1', attempts: 1 + maxRetries, round: 1 });
      expect(queue.dead[0]?.error).toContain(reason);
      await waitFor('the other is an order', () => orders.some(({ key }) => key === 'k2'));
    },
  );

  test('and is sent again by a person has all of its attempts anew', async () => {
    const { queue, inbox } = running();
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'bad' });
    await waitFor('it is parked', () => queue.dead.length === 1);
    queue.replay();
    await waitFor('it is parked again', () => queue.dead.length === 1);
    expect(inbox.begun('m1')).toEqual([1, 2, 3, 1, 2, 3]);
    expect(queue.dead[0]).toMatchObject({ round: 2 });
  });

  test('and comes again from its sender, unchanged, goes straight to the dead letters', async () => {
    const { queue, inbox } = running();
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'bad' });
    await waitFor('it is parked', () => queue.dead.length === 1);
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'bad' });
    await waitFor('it is parked again', () => queue.dead.length === 2);
    expect(inbox.begun('m1')).toEqual([1, 2, 3]);
    expect(queue.dead[1]?.error).toContain('that is no order');
  });

  test('and whose process died in each attempt is parked without another one', async () => {
    const { queue, inbox, orders } = running();
    inbox.count('m1', 1 + maxRetries);
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('it is parked', () => queue.dead.length === 1);
    expect(orders).toEqual([]);
    expect(queue.dead[0]?.error).toContain('the process died');
  });

  test('is kept until the broker has confirmed its copy', async () => {
    const { queue } = running({}, 1);
    queue.refuseCopies = 1;
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'bad' });
    await waitFor('it is parked', () => queue.dead.length === 1);
    expect(queue.refuseCopies).toBe(0);
    // Each only after the copy was there.
    expect(queue.story).toEqual(['retry', 'acknowledge', 'retry', 'acknowledge', 'park', 'acknowledge']);
  });
});

describe('while the database is away', () => {
  test('nothing is counted, and all goes on when it is back', async () => {
    const { queue, inbox, orders, lines } = running();
    inbox.trouble = away;
    for (const n of [1, 2, 3]) queue.send({ messageId: `m${n}`, idempotencyKey: `k${n}`, body: 'good' });
    await waitFor('that is said', () => lines.includes('the database is away: orders from the queue wait'));
    await waitFor('it was asked for several times', () => inbox.pings > 4);
    expect(queue.story).toEqual([]);
    inbox.trouble = undefined;
    await waitFor('all are orders', () => queue.acknowledged.length === 3);
    expect(orders).toHaveLength(3);
    expect([1, 2, 3].map((n) => inbox.begun(`m${n}`))).toEqual([[1], [1], [1]]);
    expect(lines).toContain('the database is back: orders from the queue go on');
  });

  test('an attempt that it broke is the same attempt when it is back', async () => {
    let calls = 0;
    const made = running({
      accept: async (claim) => {
        calls += 1;
        if (calls > 1) return accepted(claim);
        made.inbox.trouble = away;
        throw away();
      },
    });
    made.queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('the database was asked for', () => made.inbox.pings > 0);
    made.inbox.trouble = undefined;
    await waitFor('it is acknowledged', () => made.queue.acknowledged.length === 1);
    expect(made.inbox.begun('m1')).toEqual([1]);
  });

  test('what it cannot do although it answers is the failure of the message', async () => {
    const { queue, inbox } = running({ accept: () => Promise.reject(away()) });
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('it is parked', () => queue.dead.length === 1);
    expect(inbox.begun('m1')).toEqual([1, 2, 3]);
  });

  test('an end gives back the attempt that waits for it, as no failure', async () => {
    const made = running({
      accept: async () => {
        made.inbox.trouble = away;
        throw away();
      },
    });
    made.queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('the database was asked for', () => made.inbox.pings > 0);
    made.stop();
    await made.ended;
    expect(made.queue.story).toEqual(['give back']);
  });

  test('an end gives back what waits for it', async () => {
    const { queue, inbox, stop, ended } = running();
    inbox.trouble = away;
    queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
    await waitFor('the database was asked for', () => inbox.pings > 0);
    stop();
    await ended;
    expect(queue.story).toEqual(['give back']);
  });
});

test('an end finishes what was begun', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { queue, stop, ended } = running({
    accept: async (claim) => {
      await promise;
      return accepted(claim);
    },
  });
  queue.send({ messageId: 'm1', idempotencyKey: 'k1', body: 'good' });
  await waitFor('it is under way', () => queue.underWay === 1);
  stop();
  resolve();
  await ended;
  expect(queue.story).toEqual(['acknowledge']);
});

test('whatever mix of messages comes, each ends as one order or one dead letter after its attempts', async () => {
  const message = fc.record({
    key: fc.nat(8),
    body: fc.constantFrom('good', 'bad'),
    copies: fc.integer({ min: 1, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(message, { selector: ({ key }) => key }), async (messages) => {
      const { queue, inbox, orders, stop, ended } = running();
      for (const { key, body, copies } of messages) {
        for (let n = 0; n < copies; n += 1) queue.send({ messageId: `m${key}`, idempotencyKey: `k${key}`, body });
      }
      await waitFor('the queue is empty', () => queue.waiting.length === 0 && queue.underWay === 0);
      stop();
      await ended;
      const of = (body: string) => messages.filter((one) => one.body === body);
      expect(orders.map(({ key }) => key).toSorted()).toEqual(
        of('good')
          .map(({ key }) => `k${key}`)
          .toSorted(),
      );
      const dead = new Set(queue.dead.map(({ messageId }) => messageId));
      expect([...dead].toSorted()).toEqual(
        of('bad')
          .map(({ key }) => `m${key}`)
          .toSorted(),
      );
      for (const { key } of of('bad')) expect(inbox.attempts(`m${key}`)).toBe(1 + maxRetries);
    }),
    { numRuns: 30 },
  );
});
