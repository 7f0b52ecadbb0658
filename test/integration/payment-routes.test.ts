/** That a payment is with one gateway at a time, whoever asks at once and whatever was committed before. */
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { postgresPaymentRoutes } from '../../src/adapters/postgres/payment-routes.ts';
import { LONGEST_ATTEMPT_MS, type PaymentGateway } from '../../src/domain/provider-ports.ts';
import { recordedPayments } from '../../src/domain/provider-effects.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { failoverGateway } from '../../src/resilience/payment-failover.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type TestSandbox, sandboxClient, startSandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait.ts';
import { shopOf } from '../support/store-conformance/shop.ts';

let stores: Awaited<ReturnType<typeof newPostgresStores>>;
let sandbox: TestSandbox;
beforeAll(async () => {
  [stores, sandbox] = await Promise.all([newPostgresStores(), startSandbox()]);
});
afterEach(() => sandbox.clearFaults());
afterAll(() => Promise.all([stores.stop(), sandbox.stop()]));

const both = ['one', 'two'];
const routes = () => postgresPaymentRoutes(stores.db, LONGEST_ATTEMPT_MS);

async function newOrder() {
  const shop = shopOf(stores.stores);
  const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
  await shop.reserve(id);
  return { orderId: id, key: shop.step(id, 'authorize').key };
}

/** As if nothing had happened for as long as an attempt may last. */
const passTime = (key: string) =>
  stores.db.transaction((trx) =>
    sql`update payment_routes set sent_at = sent_at - interval '15.001 seconds' where key = ${key}`.execute(trx),
  );

const doubtful = async (key: string) => (await routes().doubtful(100)).filter((one) => one.key === key);
/** As if it had been cleared, and last looked at, that much earlier. */
const aMomentBefore = (key: string, minutes: number) =>
  stores.db.transaction((trx) =>
    sql`update payment_routes set cleared_at = cleared_at - ${minutes} * interval '1 minute',
      look_again_at = look_again_at - ${minutes} * interval '1 minute' where key = ${key}`.execute(trx),
  );

describe('a key', () => {
  test('goes to one gateway however many send it at once', async () => {
    const { key, orderId } = await newOrder();
    const opened = await Promise.all(Array.from({ length: 8 }, () => routes().open(key, orderId, both)));
    expect(opened.map(({ provider }) => provider)).toEqual(Array.from({ length: 8 }, () => 'one'));
    expect(opened.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(await routes().find(key)).toMatchObject([{ cleared: false, isOver: false, attempts: { length: 8 } }]);
  });

  test('goes to one even where two processes know the gateways in another order', async () => {
    const { key, orderId } = await newOrder();
    const orders = [both, ['two', 'one'], both, ['two', 'one']];
    const opened = await Promise.all(orders.map((providers) => routes().open(key, orderId, providers)));
    expect(new Set(opened.map(({ provider }) => provider)).size).toBe(1);
  });

  test('is cleared by the last attempt that was not sent, and by no other', async () => {
    const { key, orderId } = await newOrder();
    const first = await routes().open(key, orderId, both);
    const second = await routes().open(key, orderId, both);
    expect(await routes().withdraw(key, first)).toBe(false);
    expect(await routes().withdraw(key, first)).toBe(false);
    expect(await routes().withdraw(key, second)).toBe(true);
    expect(await routes().open(key, orderId, both)).toMatchObject({ provider: 'two', isNew: true });
  });

  test('goes to one next gateway where many are free to go on at once', async () => {
    const { key, orderId } = await newOrder();
    await routes().withdraw(key, await routes().open(key, orderId, both));
    const three = [...both, 'three'];
    const opened = await Promise.all(Array.from({ length: 6 }, () => routes().open(key, orderId, three)));
    expect(new Set(opened.map(({ provider }) => provider))).toEqual(new Set(['two']));
  });

  test('is not cleared by what was seen before another attempt began', async () => {
    const { key, orderId } = await newOrder();
    await routes().open(key, orderId, both);
    await passTime(key);
    const [seen] = await routes().find(key);
    expect(seen).toMatchObject({ isOver: true });
    await routes().open(key, orderId, both);
    if (seen !== undefined) await routes().clear(key, seen);
    expect(await routes().find(key)).toMatchObject([{ cleared: false, isOver: false }]);
  });

  test('goes round once all were cleared, to the one that it was with longest ago', async () => {
    const { key, orderId } = await newOrder();
    for (const provider of both) {
      const opened = await routes().open(key, orderId, both);
      expect(opened.provider).toBe(provider);
      await passTime(key);
      await routes().withdraw(key, opened);
    }
    expect(await routes().open(key, orderId, both)).toMatchObject({ provider: 'one', isNew: false });
  });

  test('that was requested without a route is suspected at the first; one that never was is not', async () => {
    const { key, orderId } = await newOrder();
    expect(await routes().suspect(key, () => 'one')).toBeUndefined();
    expect(await routes().find(key)).toEqual([]);
    await stores.stores.effects.openAuthorize({ key, orderId });
    expect(await routes().suspect(key, () => 'one')).toBe('one');
    expect(await routes().find(key)).toMatchObject([{ provider: 'one', cleared: false, attempts: ['unknown'] }]);
  });
});

describe('with two gateways over HTTP', () => {
  const attempt = (ms = 5_000) => ({ signal: AbortSignal.timeout(ms) });
  const second = () => sandboxClient(`${sandbox.url}/second`);
  const opened: { close(): Promise<void> }[] = [];
  afterEach(() => second().clearFaults());
  afterAll(() => Promise.all(opened.map((gateway) => gateway.close())));

  function payments(firstUrl: string = sandbox.url) {
    const [one, two] = [httpPaymentGateway(firstUrl), httpPaymentGateway(`${sandbox.url}/second`)];
    opened.push(one, two);
    const told: string[] = [];
    const gateway: PaymentGateway = failoverGateway(
      [
        ['one', one],
        ['two', two],
      ],
      routes(),
      {
        movedOn: ({ key }) => told.push(key),
        contradiction: ({ providers }) => told.push(providers.join(', ')),
      },
    );
    return { payments: recordedPayments(stores.stores.effects, gateway), told, gateway };
  }

  async function charges(orderId: string) {
    const [first, other] = await Promise.all([sandbox.ledger({ orderId }), second().ledger({ orderId })]);
    return { first: first.map(({ kind }) => kind), second: other.map(({ kind }) => kind) };
  }

  test('the second authorizes and voids what the first could not even be connected for', async () => {
    const { orderId, key } = await newOrder();
    const { payments: paid, told } = payments(`http://127.0.0.1:${await freePort()}`);
    expect(await paid.authorize({ orderId, key }, attempt())).toMatchObject({
      outcome: 'authorized',
      authorizationId: expect.stringMatching(/^two~auth_/),
    });
    await paid.undoAuthorize({ orderId, key: `${key}-void`, undoes: key, final: false }, attempt());
    expect(await charges(orderId)).toEqual({ first: [], second: ['authorization', 'void'] });
    expect(told).toEqual([key]);
  });

  test('an undo that died before its way was chosen goes where the authorization is, once it is tried again', async () => {
    const { orderId, key } = await newOrder();
    const { payments: away } = payments(`http://127.0.0.1:${await freePort()}`);
    const authorized = await away.authorize({ orderId, key }, attempt());
    const authorizationId = authorized.outcome === 'authorized' ? authorized.authorizationId : '';
    const undo = { orderId, key: `${key}-void`, undoes: key, final: false };
    await stores.stores.effects.open(undo, 'void', { orderId, amountMinor: 1, currency: 'GBP', authorizationId });
    const { payments: back } = payments();
    expect(await back.undoAuthorize(undo, attempt())).toEqual({ outcome: 'undone' });
    expect(await charges(orderId)).toEqual({ first: [], second: ['authorization', 'void'] });
  });

  test('an effect that lands at the first after the second took over is found, and told', async () => {
    const { orderId, key } = await newOrder();
    const { payments: paid, told, gateway } = payments();
    await sandbox.addFault({
      dependency: 'payments',
      operation: 'authorize',
      kind: 'delay_effect',
      latencyMs: 1_000,
      count: 1,
    });
    await expect(paid.authorize({ orderId, key }, attempt(300))).rejects.toMatchObject({ code: 'provider_timeout' });
    await passTime(key);
    await paid.authorize({ orderId, key }, attempt());
    expect(await doubtful(key)).toEqual([]);
    await waitFor('it landed', async () => (await charges(orderId)).first.length > 0);
    for (const minutes of [1, 2, 4]) {
      expect(await doubtful(key)).toEqual([]);
      await aMomentBefore(key, minutes);
      expect(await doubtful(key)).toEqual([{ orderId, key }]);
    }
    await gateway.lookup(key, attempt());
    expect(told).toEqual([key, 'one, two']);
    await aMomentBefore(key, 24 * 60);
    expect(await doubtful(key)).toEqual([{ orderId, key }]);
    await aMomentBefore(key, 24 * 60);
    expect(await doubtful(key)).toEqual([]);
  });

  test('what the first did and could not tell is found there, and not done again', async () => {
    const { orderId, key } = await newOrder();
    const { payments: paid } = payments();
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'timeout_after_effect', count: 1 });
    await expect(paid.authorize({ orderId, key }, attempt(300))).rejects.toMatchObject({ code: 'provider_timeout' });
    await passTime(key);
    expect(await paid.authorize({ orderId, key }, attempt())).toMatchObject({ outcome: 'authorized' });
    expect(await charges(orderId)).toEqual({ first: ['authorization'], second: [] });
  });

  test('a first that only fails to authorize is left once it was asked after the longest attempt', async () => {
    const { orderId, key } = await newOrder();
    const { payments: paid } = payments();
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'error' });
    const failure = { code: 'provider_unavailable' };
    await expect(paid.authorize({ orderId, key }, attempt())).rejects.toMatchObject(failure);
    await expect(paid.authorize({ orderId, key }, attempt())).rejects.toMatchObject(failure);
    expect(await charges(orderId)).toEqual({ first: [], second: [] });
    await passTime(key);
    expect(await paid.authorize({ orderId, key }, attempt())).toMatchObject({ outcome: 'authorized' });
    expect(await charges(orderId)).toEqual({ first: [], second: ['authorization'] });
  });

  test('an answer that lies is not taken for a proof of anything', async () => {
    const { orderId, key } = await newOrder();
    const { payments: paid } = payments();
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'lie', count: 1 });
    await expect(paid.authorize({ orderId, key }, attempt())).rejects.toMatchObject({ code: 'provider_rejected' });
    await passTime(key);
    expect(await paid.authorize({ orderId, key }, attempt())).toMatchObject({ outcome: 'authorized' });
    expect(await charges(orderId)).toEqual({ first: ['authorization'], second: [] });
  });

  test('six attempts at once charge once, at one of them', async () => {
    const { orderId, key } = await newOrder();
    const { payments: paid } = payments();
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'error', rate: 0.5 });
    await Promise.allSettled(Array.from({ length: 6 }, () => paid.authorize({ orderId, key }, attempt())));
    await sandbox.clearFaults();
    await paid.authorize({ orderId, key }, attempt());
    const { first, second: other } = await charges(orderId);
    expect([...first, ...other]).toEqual(['authorization']);
  });
});

test('a gateway that payments of open orders are with is named while nobody knows it', async () => {
  const { key, orderId } = await newOrder();
  await routes().open(key, orderId, ['gone', 'one']);
  expect(await routes().strangers(both)).toEqual(['gone']);
  expect(await routes().strangers(['gone', ...both])).toEqual([]);
  await stores.stores.orders.finish({ orderId, key: `order-${orderId}:finish:1`, status: 'rejected', reason: 'x' });
  expect(await routes().strangers(both)).toEqual([]);
});
