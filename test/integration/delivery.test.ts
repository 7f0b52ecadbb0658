import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { httpCarrier } from '../../src/adapters/http/carrier.ts';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { createHandover } from '../../src/delivery/handover.ts';
import { reconcile } from '../../src/delivery/reconciler.ts';
import { sweep } from '../../src/delivery/sweeper.ts';
import type { UpkeepDeps } from '../../src/delivery/upkeep.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { OrderWorkflows } from '../../src/domain/order-ports.ts';
import { recordedPayments, recordedShipping } from '../../src/domain/provider-effects.ts';
import type { PaymentGateway } from '../../src/domain/provider-ports.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type TestSandbox, startSandbox } from '../support/sandbox.ts';
import { type Shop, shopOf, times } from '../support/store-conformance/shop.ts';
import { waitFor } from '../support/wait.ts';

/** Real stores and providers; what Temporal knows is the test's to say. */
let postgres: Awaited<ReturnType<typeof newPostgresStores>>;
let sandbox: TestSandbox;
let shop: Shop;
let deps: UpkeepDeps;
let closeProviders: () => Promise<unknown>;
const workflows = {
  start: vi.fn<OrderWorkflows['start']>(),
  cancel: vi.fn<OrderWorkflows['cancel']>(),
  deliver: vi.fn<OrderWorkflows['deliver']>(),
  decide: vi.fn<OrderWorkflows['decide']>(),
  state: vi.fn<OrderWorkflows['state']>(),
};
const log = { info: vi.fn<() => void>(), warn: vi.fn<() => void>(), error: vi.fn<() => void>() };
const never = new AbortController().signal;
const bounds = { carrierMs: 3_600_000, itemMs: 10_000 };
const soon = () => ({ signal: AbortSignal.timeout(10_000) });

beforeAll(async () => {
  postgres = await newPostgresStores();
  sandbox = await startSandbox();
  const { effects: journal, outstanding } = postgres.stores;
  const [gateway, carrier] = [httpPaymentGateway(sandbox.url), httpCarrier(sandbox.url)];
  closeProviders = () => Promise.all([gateway.close(), carrier.close()]);
  const payments = recordedPayments(journal, gateway);
  const shipping = recordedShipping(journal, carrier);
  const handover = createHandover(outstanding, workflows);
  deps = { outstanding, handover, workflows, journal, gateway, carrier, payments, shipping, log };
  shop = shopOf(postgres.stores);
});

afterAll(async () => {
  await closeProviders();
  await sandbox.stop();
  await postgres.stop();
});

beforeEach(async () => {
  vi.resetAllMocks();
  workflows.cancel.mockResolvedValue('accepted');
  workflows.deliver.mockResolvedValue('accepted');
  workflows.state.mockResolvedValue('running');
  // What the test before left is not this one's.
  await sweep(deps, 0, never);
  vi.clearAllMocks();
});

const received = async (): Promise<string> => (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;

const unavailable = () => Promise.reject(new DomainFailure('workflow_unavailable', 'connection refused'));

test('a sweep starts an order before it tells its workflow of the wish to cancel', async () => {
  const id = await received();
  await postgres.stores.requests.cancel(id, { reason: null });
  expect(await sweep(deps, 0, never)).toEqual({ started: 1, delivered: 0, cancelled: 1 });
  expect(workflows.start.mock.calls).toMatchObject([[{ orderId: id, incarnation: 0 }]]);
  expect(workflows.cancel.mock.calls).toEqual([[id]]);
  expect(workflows.start.mock.invocationCallOrder[0]).toBeLessThan(workflows.cancel.mock.invocationCallOrder[0] ?? 0);
  expect(await sweep(deps, 0, never)).toEqual({ started: 0, delivered: 0, cancelled: 0 });
});

test('a sweep leaves an order alone that its API may be handing over still', async () => {
  await received();
  expect(await sweep(deps, 60_000, never)).toEqual({ started: 0, delivered: 0, cancelled: 0 });
  expect(workflows.start).not.toHaveBeenCalled();
});

test('a sweep does not ask a Temporal that is away for each order, and starts all of them once it is back', async () => {
  await Promise.all(times(30, received));
  workflows.start.mockImplementation(unavailable);
  expect(await sweep(deps, 0, never)).toMatchObject({ started: 0 });
  expect(workflows.start.mock.calls.length).toBeLessThan(30);
  workflows.start.mockResolvedValue();
  expect(await sweep(deps, 0, never)).toMatchObject({ started: 30 });
});

test('an order that cannot be started holds up no other', async () => {
  const ids = await Promise.all(times(20, received));
  const broken = ids[0];
  workflows.start.mockImplementation(({ orderId }) =>
    orderId === broken ? Promise.reject(new Error('no such order')) : Promise.resolve(),
  );
  expect(await sweep(deps, 0, never)).toMatchObject({ started: 19 });
  expect(log.warn).toHaveBeenCalledTimes(1);
});

test('a workflow that is gone is flagged, once; one that waits for the carrier or a person is left in peace', async () => {
  const gone = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const waitsForCarrier = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  await shop.book(waitsForCarrier.orderId, waitsForCarrier.fulfillmentId);
  const standsStill = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  await sweep(deps, 0, never);
  const settings = { ...bounds, idleMs: 0, standstillMs: 0, unknownMs: 60_000 };
  workflows.state.mockImplementation((orderId) => Promise.resolve(orderId === gone.orderId ? 'missing' : 'running'));
  await reconcile(deps, settings, soon());

  const reasonOf = async (id: string) => (await shop.view(id)).attention?.reason;
  expect(await reasonOf(gone.orderId)).toBe('workflow_missing');
  expect(await reasonOf(standsStill.orderId)).toMatch(/^workflow_stands_still: no change for \d+ ms$/);
  expect(await reasonOf(waitsForCarrier.orderId)).toBeUndefined();
  const { version } = await shop.view(gone.orderId);
  await reconcile(deps, settings, soon());
  expect((await shop.view(gone.orderId)).version).toBe(version);
});

/** The undo comes while the step is on its way, looks twice, finds nothing, and the order ends. */
const lateness = { kind: 'delay_effect', latencyMs: 2_000, count: 1 } as const;
/** Time enough to be sent, on a busy machine too, and not for what comes late. */
const tooLate = () => ({ signal: AbortSignal.timeout(500) });

const everything = { ...bounds, idleMs: 0, standstillMs: 0, unknownMs: 60_000 };
const attentionIds = async (id: string) => (await shop.view(id)).attentions.map((attention) => attention.id);
const timeline = async (id: string) => (await shop.view(id)).timeline;

test('a workflow that stood still loses its flag once its order has moved on, and gets it again', async () => {
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  await sweep(deps, 0, never);
  await reconcile(deps, everything, soon());
  await reconcile(deps, everything, soon());
  expect(await attentionIds(orderId)).toEqual(['workflow-0']);
  await shop.book(orderId, fulfillmentId);
  await reconcile(deps, everything, soon());
  expect(await attentionIds(orderId)).toEqual([]);
  expect((await timeline(orderId)).at(-1)).toMatchObject({ detail: { attentionId: 'workflow-0', by: 'recovery' } });
  await postgres.stores.requests.cancel(orderId, { reason: null });
  await reconcile(deps, everything, soon());
  expect(await attentionIds(orderId)).toEqual(['workflow-0.2']);
});

test('a lost workflow that is there again loses its flag; one that stood still and is lost is flagged as lost', async () => {
  const { orderId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  await sweep(deps, 0, never);
  const reasonAfter = async (state: 'running' | 'closed') => {
    workflows.state.mockResolvedValue(state);
    await reconcile(deps, everything, soon());
    return (await shop.view(orderId)).attention?.reason;
  };
  expect(await reasonAfter('closed')).toBe('workflow_closed');
  expect(await reasonAfter('running')).toBeUndefined();
  expect(await reasonAfter('running')).toMatch(/^workflow_stands_still/);
  expect(await reasonAfter('closed')).toBe('workflow_closed');
});

test('the carrier is waited for no longer than it can take', async () => {
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  await shop.book(orderId, fulfillmentId);
  await sweep(deps, 0, never);
  await reconcile(deps, everything, soon());
  expect(await attentionIds(orderId)).toEqual([]);
  await reconcile(deps, { ...everything, carrierMs: 0 }, soon());
  expect(await attentionIds(orderId)).toEqual(['workflow-0']);
});

describe('a retry of the workflow', () => {
  const flagged = async (reason: string) => {
    const { orderId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
    await sweep(deps, 0, never);
    const attention = { attentionId: 'a1', step: 'book', reason: 'x', allowed: ['retry'] } as const;
    await postgres.stores.orders.openAttention({ ...shop.step(orderId, 'open_attention'), ...attention });
    await postgres.stores.outstanding.flag(orderId, reason);
    const decision = { attentionId: 'workflow-0', action: 'retry', actor: 'ada', reason: 'again' } as const;
    const { decisionId } = await postgres.stores.requests.recordDecision(orderId, decision);
    vi.clearAllMocks();
    return { orderId, decisionId };
  };

  test('takes back the flag of one that runs, and leaves it what it waits for', async () => {
    const { orderId, decisionId } = await flagged('workflow_stands_still: no change for 1 ms');
    expect(await attentionIds(orderId)).toEqual(['a1', 'workflow-0']);
    await deps.handover.restart(orderId, decisionId);
    expect(await attentionIds(orderId)).toEqual(['a1']);
    expect((await timeline(orderId)).at(-1)).toMatchObject({ detail: { by: 'decision', decisionId } });
    expect(workflows.start).not.toHaveBeenCalled();
    await expect(deps.handover.restart(orderId, decisionId)).rejects.toMatchObject({ code: 'attention_stale' });
  });

  test('starts another in the place of one that is gone, which asks anew for what it needs', async () => {
    const { orderId, decisionId } = await flagged('workflow_missing');
    expect(await attentionIds(orderId)).toEqual(['workflow-0', 'a1']);
    workflows.state.mockResolvedValue('missing');
    await deps.handover.restart(orderId, decisionId);
    expect(await attentionIds(orderId)).toEqual([]);
    expect(workflows.start.mock.calls).toMatchObject([[{ orderId, incarnation: 1 }]]);
  });

  test('changes nothing while Temporal cannot say whether it runs', async () => {
    const { orderId, decisionId } = await flagged('workflow_closed');
    workflows.state.mockImplementation(unavailable);
    await expect(deps.handover.restart(orderId, decisionId)).rejects.toMatchObject({ code: 'workflow_unavailable' });
    expect(await attentionIds(orderId)).toEqual(['workflow-0', 'a1']);
  });
});

test('a gateway that hangs holds up neither the round nor the carrier', async () => {
  onTestFinished(() => sandbox.clearFaults());
  const ids = await Promise.all(times(3, received));
  await Promise.all(ids.map((id) => postgres.stores.effects.openAuthorize(shop.step(id, 'authorize'))));
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const book = { ...shop.step(orderId, 'book', fulfillmentId), fulfillmentId };
  await sandbox.addFault({ dependency: 'carrier', operation: 'book', kind: 'timeout_after_effect', count: 1 });
  await expect(deps.shipping.book(book, tooLate())).rejects.toThrow('no answer');
  await waitFor('it lands', async () => (await sandbox.ledger({ orderId })).length === 1);
  await sandbox.addFault({ dependency: 'payments', operation: 'lookup', kind: 'timeout' });
  const settings = { ...bounds, idleMs: 60_000, standstillMs: 60_000, unknownMs: 0, itemMs: 300 };
  const began = performance.now();
  expect(await reconcile(deps, settings, { signal: never })).toMatchObject({ resolved: 1 });
  expect(performance.now() - began).toBeLessThan(10_000);
  expect((await shop.view(orderId)).fulfillments[0]?.status).toBe('booked');
});

test('a key that another gateway took over is asked for again, and one that cannot be holds up no other', async () => {
  const asked: string[] = [];
  const gateway: Partial<PaymentGateway> = {
    async lookup(key) {
      asked.push(key);
      return key === 'first' ? Promise.reject(new Error('away')) : undefined;
    },
  };
  const keys = ['first', 'second'].map((key) => ({ orderId: 'of both', key }));
  const routes = { doubtful: () => Promise.resolve(keys) };
  const settings = { ...bounds, idleMs: 3_600_000, standstillMs: 3_600_000, unknownMs: 3_600_000 };
  await reconcile({ ...deps, gateway: { ...deps.gateway, ...gateway }, routes }, settings, soon());
  expect(asked).toEqual(expect.arrayContaining(['first', 'second']));
});

test('an authorization that lands after its undo gave up is voided by the reconciler', async () => {
  const id = await received();
  const [authorize, undo] = [
    shop.step(id, 'authorize'),
    { ...shop.step(id, 'void'), undoes: shop.step(id, 'authorize').key },
  ];
  await sandbox.addFault({ dependency: 'payments', operation: 'authorize', ...lateness });
  await expect(deps.payments.authorize(authorize, tooLate())).rejects.toThrow('no answer');
  expect(await deps.payments.undoAuthorize({ ...undo, final: false }, soon())).toEqual({ outcome: 'look_again' });
  expect(await deps.payments.undoAuthorize({ ...undo, final: true }, soon())).toEqual({ outcome: 'nothing' });
  await postgres.stores.orders.finish({ ...shop.step(id, 'finish'), status: 'cancelled', reason: 'cancel_requested' });
  await waitFor('it lands', async () => (await sandbox.ledger({ orderId: id })).length === 1);

  const settings = { ...bounds, idleMs: 60_000, standstillMs: 60_000, unknownMs: 0 };
  expect(await reconcile(deps, settings, soon())).toMatchObject({ resolved: 1, undone: 1 });
  expect((await sandbox.ledger({ orderId: id })).map(({ kind }) => kind)).toEqual(['authorization', 'void']);
  expect((await shop.view(id)).payment.status).toBe('voided');
  expect(await reconcile(deps, settings, soon())).toMatchObject({ undone: 0 });
});

test.each([
  { where: 'still waits for its parcel', dispatched: false, ends: ['shipment', 'cancellation'], undone: 1 },
  { where: 'has taken its parcel', dispatched: true, ends: ['shipment'], undone: 0 },
])('a booking that lands after its undo gave up is called off unless the carrier $where', async (carrier) => {
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const book = shop.step(orderId, 'book', fulfillmentId);
  const undo = { ...shop.step(orderId, 'cancel_shipment', fulfillmentId), undoes: book.key, fulfillmentId };
  await sandbox.addFault({ dependency: 'carrier', operation: 'book', ...lateness });
  await expect(deps.shipping.book({ ...book, fulfillmentId }, tooLate())).rejects.toThrow('no answer');
  expect(await deps.shipping.undoBook({ ...undo, final: false }, soon())).toEqual({ outcome: 'look_again' });
  expect(await deps.shipping.undoBook({ ...undo, final: true }, soon())).toEqual({ outcome: 'nothing' });
  await postgres.stores.orders.finish({
    ...shop.step(orderId, 'finish'),
    status: 'cancelled',
    reason: 'cancel_requested',
  });
  const shipment = await waitFor('it lands', async () => (await sandbox.ledger({ orderId }))[0]);
  if (carrier.dispatched && shipment.kind === 'shipment') await sandbox.dispatch(shipment.shipmentId);

  const settings = { ...bounds, idleMs: 60_000, standstillMs: 60_000, unknownMs: 0 };
  expect(await reconcile(deps, settings, soon())).toMatchObject({ resolved: 1, undone: carrier.undone });
  expect((await sandbox.ledger({ orderId })).map(({ kind }) => kind)).toEqual(carrier.ends);
  expect(log.error).toHaveBeenCalledTimes(1 - carrier.undone);
});

test('a booking that lands beside its corrected successor is called off while the order goes on', async () => {
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const book = shop.step(orderId, 'book', fulfillmentId);
  const undo = { ...shop.step(orderId, 'cancel_shipment', fulfillmentId), undoes: book.key, fulfillmentId };
  await sandbox.addFault({ dependency: 'carrier', operation: 'book', ...lateness });
  await expect(deps.shipping.book({ ...book, fulfillmentId }, tooLate())).rejects.toThrow('no answer');
  await deps.shipping.undoBook({ ...undo, final: true }, soon());
  const again = { ...shop.step(orderId, 'book', fulfillmentId, 2), fulfillmentId };
  const inForce = await deps.shipping.book(again, soon());
  await waitFor('it lands', async () => (await sandbox.ledger({ orderId })).length === 2);
  await postgres.db.read((queries) =>
    sql`update effects set tombstoned_at = tombstoned_at - interval '6 minutes' where key = ${book.key}`.execute(
      queries,
    ),
  );

  const settings = { ...bounds, idleMs: 60_000, standstillMs: 60_000, unknownMs: 0 };
  expect(await reconcile(deps, settings, soon())).toMatchObject({ resolved: 1, undone: 1 });
  const [present] = (await shop.view(orderId)).fulfillments;
  expect(present).toMatchObject({ status: 'booked', shipmentId: inForce.outcome === 'booked' && inForce.shipmentId });
  const shipments = (await sandbox.ledger({ orderId })).map((effect) => [
    effect.kind,
    'shipmentId' in effect && effect.shipmentId === present?.shipmentId,
  ]);
  expect(shipments.toSorted()).toEqual([
    ['cancellation', false],
    ['shipment', false],
    ['shipment', true],
  ]);
});
