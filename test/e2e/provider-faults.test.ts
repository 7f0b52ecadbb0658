/** Every way in which a provider can fail, tried on the whole of Evenkeel: what its orders do, and what the others do. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { audit } from '../support/audit.ts';
import {
  breakerOf,
  decide,
  decidedMs,
  forceBreaker,
  parked,
  quantile,
  timesTo,
  whenAllBreakers,
  whenBreaker,
} from '../support/fault-play.ts';
import { Gate } from '../support/gate.ts';
import { sandboxClient } from '../support/sandbox.ts';
import { newKey, useStack } from '../support/stack.ts';
import { pooled, waitFor } from '../support/wait.ts';

const MOST_AT_A_TIME = 8;
/** With the probes of one more opening that was not told yet. */
const PROBES = 3;

const statuses = (orders: readonly OrderView[]): string[] => [...new Set(orders.map(({ status }) => status))];

describe('with one provider of each kind', () => {
  const payments = Gate.create();
  const carrier = Gate.create();
  const stack = useStack(async () => {
    await Promise.all([(await payments).open(), (await carrier).open()]);
    return {
      env: {
        PAYMENT_GATEWAY_URL: (await payments).url,
        CARRIER_URL: (await carrier).url,
        RISK_URL: (await carrier).url,
        EVENKEEL_PROVIDER_CONCURRENCY: String(MOST_AT_A_TIME),
      },
    };
  });
  /** Both gates, on the sandbox; faults that a test scripts end with it. */
  const gates = async (): Promise<{ readonly payments: Gate; readonly carrier: Gate }> => {
    onTestFinished(() => stack().sandbox.clearFaults());
    const both = { payments: await payments, carrier: await carrier };
    for (const gate of Object.values(both)) gate.target = stack().sandbox.url;
    return both;
  };
  const confirmed = async (ids: readonly string[]): Promise<void> => {
    await waitFor('all are confirmed', async () => (await decidedMs(stack(), ids)).length === ids.length, 90_000);
  };

  test('a gateway that is slow holds nobody up for good, opens no breaker, and charges nobody twice', async () => {
    await gates();
    const before = await timesTo(stack(), 'payment', 'open');
    // More than a local attempt has.
    await stack().sandbox.addFault({ dependency: 'payments', kind: 'latency', latencyMs: 2_000 });
    const orders = await stack().ended(await stack().submit(12), 150_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders)).toEqual([]);
    expect(await timesTo(stack(), 'payment', 'open')).toBe(before);
  });

  test('what a lying gateway did is not taken for done nor for undone: a person decides, and no money is lost', async () => {
    await gates();
    const { sandbox } = stack();
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'lie', count: 2 });
    const [goesOn, isGivenUp] = await parked(stack(), await stack().submit(2));
    if (goesOn === undefined || isGivenUp === undefined) throw new Error('two orders were submitted');
    for (const { attention } of [goesOn, isGivenUp]) {
      expect(attention).toMatchObject({ step: 'authorize', reason: expect.stringContaining('provider_rejected') });
    }
    expect((await sandbox.ledger({ orderId: goesOn.id })).map(({ kind }) => kind)).toEqual(['authorization']);
    await sandbox.addFault({ dependency: 'payments', operation: 'capture', kind: 'lie', count: 1 });
    await decide(stack(), goesOn, 'retry');
    await decide(stack(), isGivenUp, 'cancel');
    const stuck = await stack().when(goesOn.id, 'parked again', ({ attention }) => attention?.step === 'capture');
    await decide(stack(), stuck, 'retry');
    const orders = await stack().ended([goesOn.id, isGivenUp.id]);
    expect(orders.map(({ status }) => status)).toEqual(['completed', 'cancelled']);
    expect(await audit(stack(), orders)).toEqual([]);
  });

  test('an operator who forces the breaker of the carrier open is obeyed and in the audit log, and no order is lost', async () => {
    const { carrier: gate } = await gates();
    await forceBreaker(stack(), 'carrier', { state: 'open', reason: 'the carrier asked us to' });
    await whenAllBreakers(stack(), 'carrier', 'forced-open');
    const asked = gate.asked.filter(({ path }) => path.startsWith('/carrier/shipments')).length;
    const ids = await stack().submit(10);
    await confirmed(ids);
    expect(await stack().sandbox.ledger({ kind: 'shipment', orderId: ids[0] ?? '' })).toEqual([]);
    expect(gate.asked.filter(({ path }) => path.startsWith('/carrier/shipments')).length).toBe(asked);

    await forceBreaker(stack(), 'carrier', { state: 'auto', reason: 'the carrier is done' });
    const orders = await stack().ended(ids, 120_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders)).toEqual([]);
    const { json } = await stack().request('GET', '/v1/audit?subject=/v1/breakers/carrier&limit=10');
    const { data } = json as { data: { outcome: string; details: unknown }[] };
    expect(data.filter(({ outcome }) => outcome === 'allowed')).toHaveLength(2);
    const causes = (await breakerOf(stack(), 'carrier')).transitions.map(({ cause }) => cause);
    expect(causes).toContainEqual(expect.stringContaining('the carrier asked us to'));
  });

  test('a carrier that hangs keeps no order from being confirmed, and all are sent once it is back', async () => {
    const { carrier: gate } = await gates();
    const { sandbox } = stack();
    const alone = await stack().submit(20);
    await stack().ended(alone);
    gate.most = 0;
    await sandbox.addFault({ dependency: 'carrier', kind: 'timeout' });
    const ids = await stack().submit(40);
    await confirmed(ids);
    const booked = await sandbox.ledger({ kind: 'shipment' });
    expect(booked.filter(({ orderId }) => ids.includes(orderId))).toEqual([]);
    // The gate hears of those that were given up a little later than their places are taken again.
    expect(gate.most).toBeLessThanOrEqual(2 * MOST_AT_A_TIME);
    const [before, during] = [await decidedMs(stack(), alone), await decidedMs(stack(), ids)];
    console.log(
      `accepted to confirmed, p99: ${quantile(before, 0.99)} ms before, ${quantile(during, 0.99)} ms during the hang`,
    );
    await sandbox.clearFaults();
    const orders = await stack().ended(ids, 180_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders)).toEqual([]);
  });

  test('while the gateway hangs, orders that wait for the carrier and those that are refused before go on', async () => {
    const { payments: gate } = await gates();
    const { sandbox } = stack();
    onTestFinished(() => sandbox.configure({ dispatchAfterMs: 50 }));
    await stack().article('GONE', { onHand: 0 });
    await sandbox.configure({ dispatchAfterMs: -1 });
    const waiting = await stack().submit(10);
    const shipmentOf = (orderId: string) => async () => (await sandbox.ledger({ kind: 'shipment', orderId }))[0];
    const shipments = await pooled(waiting, 4, (id) => waitFor(`order ${id} is booked`, shipmentOf(id)));

    gate.most = 0;
    await sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'timeout' });
    const hanging = await stack().submit(40);
    const gone = await stack().submit(10, { items: [{ sku: 'GONE', quantity: 1 }] });
    for (const shipment of shipments) {
      if ('shipmentId' in shipment) await sandbox.dispatch(shipment.shipmentId);
    }
    expect(statuses(await stack().ended(gone))).toEqual(['rejected']);
    await pooled(waiting, 4, (id) => stack().when(id, 'on its way', ({ status }) => status !== 'confirmed'));
    // All of that while none of those that need it got anywhere.
    expect(await decidedMs(stack(), hanging)).toEqual([]);
    expect(gate.most).toBeLessThanOrEqual(2 * MOST_AT_A_TIME);

    await sandbox.clearFaults();
    await sandbox.configure({ dispatchAfterMs: 50 });
    const orders = await stack().ended([...waiting, ...hanging], 180_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders)).toEqual([]);
  });

  test('a gateway that fails for a while is hardly asked meanwhile, and all orders complete once it is back', async () => {
    const { payments: gate } = await gates();
    // What succeeded before counts as well: forced and let go, a breaker begins afresh.
    await forceBreaker(stack(), 'payment', { state: 'open', reason: 'to begin afresh' });
    await whenAllBreakers(stack(), 'payment', 'forced-open');
    await forceBreaker(stack(), 'payment', { state: 'auto', reason: 'to begin afresh' });
    await whenAllBreakers(stack(), 'payment', 'closed');
    const askedBefore = gate.asked.length;
    const [openings, probings] = await pooled(['open', 'half-open'] as const, 1, (state) =>
      timesTo(stack(), 'payment', state),
    );
    await stack().sandbox.addFault({ dependency: 'payments', kind: 'error' });
    const ids = await stack().submit(40);
    const thirdOpening = async (): Promise<boolean> =>
      (await timesTo(stack(), 'payment', 'open')) >= (openings ?? 0) + 3;
    await waitFor('it was opened three times', thirdOpening, 120_000, () => breakerOf(stack(), 'payment'));
    const asked = gate.asked.length - askedBefore;
    const probed = (await timesTo(stack(), 'payment', 'half-open')) - (probings ?? 0) + 1;
    // Ten tell that it is away; what was under way with the last of them counts, too.
    expect(asked).toBeLessThanOrEqual(10 + MOST_AT_A_TIME + PROBES * probed);
    expect(await decidedMs(stack(), ids)).toEqual([]);

    await stack().sandbox.clearFaults();
    await whenAllBreakers(stack(), 'payment', 'closed');
    const orders = await stack().ended(ids, 180_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders)).toEqual([]);
    console.log(`asked ${asked} times for 40 orders over three openings and ${probed} times of probing`);
  });

  test('a carrier that gives no quotes is answered for by its last, as such, and is not asked for each', async () => {
    const { carrier: gate } = await gates();
    const quote = (country: string) =>
      stack().request('POST', '/v1/shipping-quotes', {
        country,
        currency: 'GBP',
        items: [{ sku: 'LANTERN', quantity: 2 }],
      });
    const { json: fresh } = await quote('GB');
    expect(fresh).toMatchObject({ source: 'carrier' });
    await stack().sandbox.addFault({ dependency: 'carrier', operation: 'quote', kind: 'error' });
    const { amountMinor } = fresh as { amountMinor: number };
    expect((await quote('GB')).json).toMatchObject({ source: 'last_known', amountMinor });
    const unknown = await quote('NL');
    expect(unknown.status).toBe(503);
    expect(unknown.headers.get('retry-after')).not.toBeNull();

    await waitFor('it is not asked any more', async () => {
      await quote('GB');
      return (await timesTo(stack(), 'quotes', 'open')) > 0;
    });
    await whenBreaker(stack(), 'quotes', 'open');
    expect((await quote('GB')).json).toMatchObject({ source: 'last_known', amountMinor });
    await stack().sandbox.clearFaults();
    const asked = gate.asked.length;
    await waitFor('it is asked again', async () => {
      const { json } = await quote('GB');
      return (json as { source: string }).source === 'carrier';
    });
    expect(gate.asked.length).toBeGreaterThan(asked);
  });

  test('without the risk service every order waits for a review that says why, and goes on once it is approved', async () => {
    await gates();
    await stack().sandbox.addFault({ dependency: 'risk', kind: 'error' });
    const ids = await stack().submit(20);
    const waiting = await parked(stack(), ids);
    expect(statuses(waiting)).toEqual(['in_review']);
    expect(new Set(waiting.map(({ attention }) => attention?.reason))).toEqual(new Set(['screening_unavailable']));
    expect(await stack().sandbox.ledger({ orderId: ids[0] ?? '' })).toEqual([]);
    await pooled(waiting, 4, (order) => decide(stack(), order, 'approve'));
    const orders = await stack().ended(ids);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders)).toEqual([]);
  });
});

describe('with a second payment gateway', () => {
  const first = Gate.create();
  const other = Gate.create();
  const stack = useStack(async () => {
    await (await other).open();
    return {
      env: {
        PAYMENT_GATEWAY_URL: (await first).url,
        PAYMENT_GATEWAY_FALLBACK_URLS: `${(await other).url}/second`,
      },
    };
  });
  const gates = async () => {
    onTestFinished(() => stack().sandbox.clearFaults());
    const both = { first: await first, other: await other };
    for (const gate of Object.values(both)) gate.target = stack().sandbox.url;
    return { ...both, second: sandboxClient(`${stack().sandbox.url}/second`) };
  };

  test('orders go to the second from the start where the first cannot be reached, and nobody is charged twice', async () => {
    const { second } = await gates();
    const orders = await stack().ended(await stack().submit(30), 120_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders, [second])).toEqual([]);
    expect(await stack().sandbox.ledger({ kind: 'authorization' })).toEqual([]);
    expect(await second.ledger({ kind: 'authorization' })).toHaveLength(30);
  });

  test('the first goes away in the middle with answers lost: what it may have charged waits for it, the rest goes on', async () => {
    const { first: gate, second } = await gates();
    const { sandbox } = stack();
    await gate.open();
    // Its breaker is half-open at best, until there are orders to try it with.
    const trials: string[] = [];
    await waitFor('the first is used again', async () => {
      trials.push(...(await stack().submit(1)));
      await stack().ended(trials);
      return (await breakerOf(stack(), 'payment')).workers.every(({ state }) => state === 'closed');
    });
    const charges = () =>
      pooled([sandbox, second], 2, async (world) => (await world.ledger({ kind: 'authorization' })).length);
    const [ofFirst = 0, ofSecond = 0] = await charges();
    const fault = { dependency: 'payments', operation: 'authorize' } as const;
    await sandbox.addFault({ ...fault, kind: 'timeout_after_effect', count: 5 });
    await sandbox.addFault({ ...fault, kind: 'latency', latencyMs: 300 });
    const early = stack().submit(20);
    await waitFor('ten are charged by the first', async () => ((await charges())[0] ?? 0) - ofFirst >= 10);
    await gate.shut();
    const late = await stack().submitOne(newKey());
    const ids = [...(await early), late, ...(await stack().submit(19))];
    const moved = async (): Promise<boolean> => ((await charges())[1] ?? 0) - ofSecond >= 15;
    await waitFor('fifteen go through the second', moved, 120_000, charges);
    await sandbox.clearFaults();
    await gate.open();
    const orders = await stack().ended(ids, 180_000);
    expect(statuses(orders)).toEqual(['completed']);
    expect(await audit(stack(), orders, [second])).toEqual([]);
    const [inAll = 0, moving = 0] = await charges();
    console.log(`of 40 orders ${inAll - ofFirst} went through the first gateway, ${moving - ofSecond} the second`);
  });
});
