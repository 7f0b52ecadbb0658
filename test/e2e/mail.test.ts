/** Mails to customers with the whole of Evenkeel and a real mail server: late if need be, and never in an order's way. */
import { afterAll, afterEach, expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { deleteConsumers, settled } from '../support/deliveries.ts';
import { MailServer } from '../support/mail-server.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

let server: MailServer;
afterAll(() => server.stop());

const stack = useStack(async () => {
  server = new MailServer(await freePort(), {});
  await server.start();
  return {
    env: {
      SMTP_URL: server.url,
      EVENKEEL_MAIL_FROM: 'Shop <shop@example.com>',
      EVENKEEL_DELIVERY_TIMEOUT_MS: '2000',
      EVENKEEL_DELIVERY_BACKOFF_MS: '100',
    },
  };
});

afterEach(async () => {
  server.behavior = {};
  server.mails.length = 0;
  await deleteConsumers(stack());
});

const types = ['evenkeel.order.confirmed.v1', 'evenkeel.order.dispatched.v1', 'evenkeel.order.completed.v1'];

/** A consumer that mails the customers; its id. */
async function mailing(): Promise<string> {
  const body = { name: 'customers', mail: {}, types };
  const reply = await stack().request('POST', '/v1/consumers', body, { 'idempotency-key': newKey() });
  if (reply.status !== 201) throw new Error(`POST /v1/consumers: ${reply.status} ${reply.text}`);
  return (reply.json as { id: string }).id;
}

const subjects = (to: string): (string | undefined)[] =>
  server.mails
    .filter((mail) => mail.to === to)
    .map(({ raw }) => /^Subject: Your order \S+ (.*)$/m.exec(raw)?.[1]?.trim());

test('a customer gets one mail for each event, in their order, and one without an address none', async () => {
  const consumer = await mailing();
  const [told, untold] = await Promise.all([
    stack().submitOne(newKey(), { email: 'ada@example.com' }),
    stack().submitOne(newKey()),
  ]);
  await stack().ended([told, untold]);
  await settled(stack(), [consumer]);
  expect(subjects('ada@example.com')).toEqual(['is confirmed', 'is on its way', 'is complete']);
  expect(server.mails).toHaveLength(3);
  expect(
    await stack().sql('select 1 from deliveries where consumer_id = $1 and status <> $2', [consumer, 'delivered']),
  ).toEqual([]);
  const kept = await stack().sql<{ text: string }>(
    `select body as text from events union all select coalesce(answer, '') || coalesce(error, '') from attempts
     union all select answer from idempotency_answers`,
  );
  expect(JSON.stringify(kept)).not.toContain('ada@example.com');
  expect(stack().worker.stdout.join('\n') + stack().api.stdout.join('\n')).not.toContain('ada@example.com');
});

test('while the mail server is away orders end in their time, and the mails come when it is back', async () => {
  const consumer = await mailing();
  await server.stop();
  const ids = await stack().submit(5, { email: 'ada@example.com' });
  await stack().ended(ids);
  await waitFor('the consumer is in trouble', async () => {
    const { json } = await stack().request('GET', `/v1/consumers/${consumer}`);
    return (json as { health: { mode: string } }).health.mode !== 'normal';
  });
  expect(server.mails).toEqual([]);
  await server.start();
  await settled(stack(), [consumer], 120_000);
  expect(server.mails).toHaveLength(15);
  expect(
    await stack().sql("select 1 from deliveries where consumer_id = $1 and status <> 'delivered'", [consumer]),
  ).toEqual([]);
});

test('a greylisted customer gets the mails later, and holds up nobody else’s', async () => {
  const consumer = await mailing();
  let refused = 0;
  server.behavior = {
    recipient(address) {
      if (address !== 'grey@example.com' || refused === 3) return undefined;
      refused += 1;
      return '451 4.7.1 greylisted, come again';
    },
  };
  const ids = await Promise.all(
    ['grey@example.com', 'ada@example.com'].map((email) => stack().submitOne(newKey(), { email })),
  );
  await stack().ended(ids);
  await settled(stack(), [consumer]);
  expect(subjects('grey@example.com')).toEqual(['is confirmed', 'is on its way', 'is complete']);
  expect(subjects('ada@example.com')).toEqual(['is confirmed', 'is on its way', 'is complete']);
  expect(refused).toBe(3);
});

test('mail to nobody is a dead letter, blames nobody, and goes out once the address is right', async () => {
  const consumer = await mailing();
  server.behavior = { recipient: (to) => (to === 'nobody@example.com' ? '550 5.1.1 no such user' : undefined) };
  const id = await stack().submitOne(newKey(), { email: 'nobody@example.com' });
  await stack().ended([id]);
  await settled(stack(), [consumer]);
  const letters = (await stack().request('GET', `/v1/dead-letters?consumer=${consumer}`)).json as {
    data: readonly { id: string; cause: string; lastError: string; attempts: number }[];
  };
  expect(letters.data.map(({ cause, attempts }) => [cause, attempts])).toEqual(types.map(() => ['smtp_550', 1]));
  expect(JSON.stringify(letters)).not.toContain('nobody@');
  const { json } = await stack().request('GET', `/v1/consumers/${consumer}`);
  expect(json).toMatchObject({ health: { mode: 'normal', trouble: null } });

  await stack().sql("update orders set email = 'ada@example.com' where id = $1", [id]);
  for (const letter of letters.data) {
    expect((await stack().request('POST', `/v1/dead-letters/${letter.id}/retry`)).status).toBe(202);
  }
  await settled(stack(), [consumer]);
  expect(subjects('ada@example.com').toSorted()).toEqual(['is complete', 'is confirmed', 'is on its way']);
});

test('an order handed in twice is told of once, and the same key with another address is another order', async () => {
  const consumer = await mailing();
  const key = newKey();
  const id = await stack().submitOne(key, { email: 'ada@example.com' });
  expect(await stack().submitOne(key, { email: 'ada@example.com' })).toBe(id);
  const other = await stack().request('POST', '/v1/orders', newOrder({ email: 'eve@example.com' }), {
    'idempotency-key': key,
  });
  expect(other).toMatchObject({ status: 422, json: { code: 'idempotency_key_reused' } });
  await stack().ended([id]);
  await settled(stack(), [consumer]);
  expect(server.mails).toHaveLength(3);
});
