/** Poison events: they become dead letters, hold up nothing but themselves, and people set them right. */
import { afterEach, expect, test } from 'vitest';
import { consumerOf, deleteConsumers, settled } from '../support/deliveries.ts';
import { newKey, useStack } from '../support/stack.ts';
import type { Behavior, TestConsumer } from '../support/test-consumer.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack(() => ({
  env: { EVENKEEL_DELIVERY_MAX_ATTEMPTS: '3', EVENKEEL_DELIVERY_BACKOFF_MS: '20' },
}));

afterEach(() => deleteConsumers(stack()));

/** More than the few that a redrive tries first. */
const COUNT = 8;

const consumer = (behave?: Behavior, body?: Readonly<Record<string, unknown>>): Promise<TestConsumer> =>
  consumerOf(stack(), behave, body);

interface Letter {
  readonly id: string;
  readonly eventId: string;
  readonly orderId: string;
  readonly cause: string;
}

async function deadLetters(of: TestConsumer, count: number): Promise<Letter[]> {
  return waitFor(`${count} dead letters`, async () => {
    const { json } = await stack().request('GET', `/v1/dead-letters?consumer=${of.id}&limit=200`);
    const { data } = json as { data: Letter[] };
    return data.length >= count && data;
  });
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<unknown> {
  const { status, text, json } = await stack().request('POST', path, body, headers);
  if (status >= 300) throw new Error(`POST ${path}: ${status} ${text}`);
  return json;
}

/** Refuses the confirmations of these orders, as a consumer would that stumbles over what is in them. */
const stumbles =
  (orders: ReadonlySet<string>): Behavior =>
  ({ subject, type }) =>
    orders.has(String(subject)) && type === 'evenkeel.order.confirmed.v1' ? 500 : 204;

test('a poison event becomes a dead letter, its order goes on after it, and all others were never held up', async () => {
  const poisoned = new Set<string>();
  const picky = await consumer(stumbles(poisoned));
  // The first is poisoned before it comes so far: its screening alone takes longer than this line.
  const [bad = ''] = await stack().submit(1);
  poisoned.add(bad);
  const good = await stack().submit(20);
  await stack().ended([bad, ...good]);
  const [letter] = await deadLetters(picky, 1);
  await settled(stack(), [picky.id]);

  expect(letter).toMatchObject({ orderId: bad, cause: 'http_500' });
  const types = picky.accepted.filter(({ subject }) => subject === bad).map(({ type }) => type);
  expect(types).toContain('evenkeel.order.completed.v1');
  expect(types).not.toContain('evenkeel.order.confirmed.v1');
  const attempts = picky.receipts.filter(({ eventId }) => eventId === letter?.eventId);
  expect(attempts).toHaveLength(3);
  // What is held back is the order of the poison event, behind it: nothing of that order came in between.
  const ofBad = picky.receipts.filter(({ subject }) => subject === bad);
  const begin = ofBad.findIndex(({ eventId }) => eventId === letter?.eventId);
  expect(ofBad.slice(begin, begin + 3).map(({ eventId }) => eventId)).toEqual(Array(3).fill(letter?.eventId));

  poisoned.clear();
  await post(`/v1/dead-letters/${letter?.id}/retry`, { reason: 'the consumer is mended' });
  await settled(stack(), [picky.id]);
  const again = picky.accepted.filter(({ eventId }) => eventId === letter?.eventId);
  expect(again).toHaveLength(1);
  expect((await stack().request('GET', `/v1/dead-letters?consumer=${picky.id}`)).json).toMatchObject({ data: [] });
});

test('an event that a person corrects goes out under a new id that says what it replaces', async () => {
  const seen: Record<string, unknown>[] = [];
  const picky = await consumer(
    (event) => {
      seen.push({ ...event });
      const { totalMinor } = event['data'] as { totalMinor: number };
      return totalMinor === 2_000 ? 422 : 204;
    },
    { types: ['evenkeel.order.confirmed.v1'] },
  );
  await stack().ended(await stack().submit(1));
  const [letter] = await deadLetters(picky, 1);
  const path = `/v1/dead-letters/${letter?.id}/edit`;
  const refused = await stack().request('POST', path, { data: { totalMinor: 'free' }, reason: 'x' });
  expect(refused.status).toBe(422);
  const { eventId } = (await post(path, {
    data: { totalMinor: 1_999, currency: 'GBP' },
    reason: 'it stumbles over two thousand',
  })) as { eventId: string };
  await settled(stack(), [picky.id]);
  const [original, corrected] = [seen.at(0), seen.at(-1)];
  expect(corrected).toMatchObject({
    id: eventId,
    replaces: letter?.eventId,
    sequence: original?.['sequence'],
    data: { totalMinor: 1_999 },
  });
  expect(picky.unsigned).toEqual([]);
});

test('many are sent again at a rate, a few first; and are left alone where none of these is delivered', async () => {
  let isMended = false;
  const stumbling: Behavior = ({ type, data }) => {
    const { customerId } = data as { customerId?: string };
    return !isMended && type === 'evenkeel.order.created.v1' && customerId === 'poison' ? 500 : 204;
  };
  const picky = await consumer(stumbling);
  // One after the other: several at once would point at the consumer, not at the events.
  for (const count of Array.from({ length: COUNT }, (_, index) => index + 1)) {
    await stack().submit(1, { customerId: 'poison' });
    await deadLetters(picky, count);
  }
  const letters = await deadLetters(picky, COUNT);
  const redrive = async (): Promise<string> =>
    (
      (await post(
        '/v1/dead-letters/retry',
        { filter: { consumerId: picky.id }, ratePerSecond: 50, reason: 'again' },
        { 'idempotency-key': newKey() },
      )) as { id: string }
    ).id;
  // Others go on ordering, so that it can be told that these events are bad, and not the consumer.
  const ended = (id: string) =>
    waitFor('the redrive ends', async () => {
      await stack().submit(1);
      const { json } = await stack().request('GET', `/v1/redrives/${id}`);
      const view = json as { state: string; finishedAt: string | null };
      return view.finishedAt !== null && view;
    });

  const dry = await post('/v1/dead-letters/retry', {
    filter: { consumerId: picky.id },
    ratePerSecond: 50,
    dryRun: true,
  });
  expect(dry).toMatchObject({ count: letters.length });
  const failed = await ended(await redrive());
  expect(failed).toMatchObject({ state: 'failed', total: COUNT, sent: 3, delivered: 0 });

  isMended = true;
  await deadLetters(picky, COUNT);
  const completed = await ended(await redrive());
  expect(completed).toMatchObject({ state: 'completed', total: COUNT, sent: COUNT });
  await settled(stack(), [picky.id]);
  const delivered = new Set(picky.accepted.map(({ eventId }) => eventId));
  expect(letters.filter(({ eventId }) => !delivered.has(eventId))).toEqual([]);
});

test('what is discarded says by whom and why, and what a deleted consumer did not get lies with the dead', async () => {
  const picky = await consumer(() => 500, { types: ['evenkeel.order.created.v1'] });
  await stack().submit(1);
  const [letter] = await deadLetters(picky, 1);
  await post(`/v1/dead-letters/${letter?.id}/discard`, { reason: 'nobody needs it', actor: 'ada' });
  const { json } = await stack().request('GET', `/v1/dead-letters/${letter?.id}`);
  expect(json).toMatchObject({
    status: 'discarded',
    actions: [{ action: 'discard', actor: 'ada', reason: 'nobody needs it' }],
  });

  await stack().request('POST', `/v1/consumers/${picky.id}/pause`, { reason: 'maintenance' });
  await stack().submit(1);
  const { status } = await stack().request('DELETE', `/v1/consumers/${picky.id}`);
  expect(status).toBe(204);
  const [held] = await deadLetters(picky, 1);
  expect(held).toMatchObject({ cause: 'consumer_deleted' });
});
