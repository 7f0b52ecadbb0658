import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runRelay } from '../../src/delivery/relay.ts';
import type { EventSender } from '../../src/domain/delivery-ports.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { delivered } from '../support/memory-queue.ts';
import { newDeliveryQueue } from '../support/settlements.ts';
import { pooled, waitFor } from '../support/wait.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

const never = <T>() => new Promise<T>(() => undefined);
const workflows = { startTrouble: never, tellTrouble: never, startRedrive: never, tellRedrive: never };
const settings = {
  policy: { maxStrikes: 3, backoffBaseMs: 20, backoffCapMs: 20, longestRetryAfterMs: 1_000 },
  concurrency: 6,
  timeoutMs: 60_000,
};

/** A relay whose sender has an answer when the test says so. */
function slowRelay() {
  const sent: string[] = [];
  const waiting: { readonly answer: () => void }[] = [];
  const sender: EventSender = {
    send: (_event, { consumerId }, { signal }) => {
      const { promise, resolve } = Promise.withResolvers<ReturnType<typeof delivered>>();
      const answer = () => resolve(delivered());
      signal.addEventListener('abort', answer);
      sent.push(consumerId);
      waiting.push({ answer });
      return promise;
    },
    close: async () => undefined,
  };
  const stop = new AbortController();
  const over = runRelay({ queue: q.queue, sender, workflows, log: createLogger('silent') }, settings, stop.signal);
  return {
    sent,
    /** The one that was sent first. */
    answerFirst: () => waiting.shift()?.answer(),
    answerLast: () => waiting.pop()?.answer(),
    async stop() {
      stop.abort();
      for (const { answer } of waiting) answer();
      await over;
    },
  };
}

const many = (id: string, count: number, dueInMs = -1000) =>
  pooled(Array.from({ length: count }), 4, () => q.add(id, { dueInMs }));
const backlog = async (count: number) => {
  const id = await q.consumer({ maxInFlight: 1000 });
  await many(id, count, -600_000);
  return id;
};
const claimedFor = async (limit: number) => (await q.claim(limit)).map(({ destination: { consumerId } }) => consumerId);

test('each consumer gets its share of a claim, however much one has', async () => {
  const [big, small, other] = [await backlog(40), await q.consumer(), await q.consumer()];
  await many(small, 2);
  await many(other, 20);
  expect((await claimedFor(12)).toSorted()).toEqual(
    [...Array<string>(5).fill(big), ...Array<string>(2).fill(small), ...Array<string>(5).fill(other)].toSorted(),
  );
});

test('what is new for a healthy consumer is the next that a full relay sends, whatever others have waiting', async () => {
  await Promise.all([backlog(15), backlog(15), backlog(15)]);
  const healthy = await q.consumer();
  const relay = slowRelay();
  for (let count = settings.concurrency; count < 16; count += 2) {
    await waitFor('the relay is full', () => relay.sent.length === count);
    await q.add(healthy);
    relay.answerFirst();
    await waitFor('another is sent', () => relay.sent.length === count + 1);
    expect(relay.sent.at(-1)).toBe(healthy);
    relay.answerLast();
  }
  await relay.stop();
});

test('who has the fewest under way is first, then who has waited for longest', async () => {
  const [busy, idle] = [await backlog(10), await q.consumer()];
  expect(await q.claim(4)).toHaveLength(4);
  await many(idle, 6);
  expect(await claimedFor(4)).toEqual([idle, idle, idle, idle]);
  expect(await claimedFor(4)).toEqual([busy, idle, busy, idle]);
});

describe('of more consumers that are probed than a claim has places', () => {
  const probed = async (dueSecondsAgo: number) => {
    const id = await q.consumer();
    await q.setHealth(
      id,
      `mode = 'probing', epoch = 1, next_probe_at = clock_timestamp() - interval '${dueSecondsAgo} s'`,
    );
    await q.add(id);
    await q.add(id);
    return id;
  };

  test('none keeps the others from theirs by having one under way', async () => {
    const ids = [await probed(30), await probed(20), await probed(10)];
    const sent = [];
    for (const _ of ids) {
      const [probe] = await q.claim(1);
      sent.push(probe?.destination.consumerId);
      await q.query(sql`update consumer_health set next_probe_at = clock_timestamp() - interval '1 hour'
        where consumer_id = ${probe?.destination.consumerId ?? ''}`);
    }
    expect(sent.toSorted()).toEqual(ids.toSorted());
  });

  test('the one is first whose probe has been due for longest', async () => {
    const [late, later, latest] = [await probed(10), await probed(20), await probed(30)];
    const sent = [];
    for (let claim = 0; claim < 3; claim += 1) sent.push(...(await claimedFor(1)));
    expect(sent).toEqual([latest, later, late]);
  });
});
