import type { OrderView } from '../../src/domain/order-ports.ts';
import type { Effect } from '../../src/sandbox/facts.ts';
import type { SandboxClient } from './sandbox.ts';
import type { Stack } from './stack.ts';

/**
 * Which of the promises the orders break, by the ledgers of both sides: money and parcels as the outside world knows
 * them, stock as the database does. Empty if all is sound. The orders must be at their end. `others`: more payment
 * gateways, whose ledgers count as one with the sandbox's.
 */
export async function audit(
  stack: Stack,
  orders: readonly OrderView[],
  others: readonly Pick<SandboxClient, 'ledger'>[] = [],
): Promise<string[]> {
  const ledgers = await Promise.all([stack.sandbox, ...others].map((world) => world.ledger()));
  const byOrder = Map.groupBy(ledgers.flat(), ({ orderId }) => orderId);
  return [
    ...orders.flatMap((order) => ofOrder(order, byOrder.get(order.id) ?? [])),
    ...(await heldStock(stack, orders)),
    ...(await unsettled(stack, orders)),
    ...brokenWorkflowTasks(stack),
  ];
}

/** A workflow task that fails is a bug of ours, replay and all, however well the next attempt went. */
function brokenWorkflowTasks({ worker }: Stack): string[] {
  return worker.stdout.filter((line) => /Failing workflow task|Nondeterminism/i.test(line));
}

function ofOrder({ id, status, totalMinor, payment }: OrderView, effects: readonly Effect[]): string[] {
  const count = (kind: Effect['kind']): number => effects.filter((effect) => effect.kind === kind).length;
  const sum = (kind: Effect['kind']): number =>
    effects.reduce(
      (total, effect) => total + (effect.kind === kind && 'amountMinor' in effect ? effect.amountMinor : 0),
      0,
    );
  const broken: string[] = [];
  const must = (holds: boolean, promise: string): void => {
    if (!holds)
      broken.push(
        `order ${id} is ${status}: ${promise}; ${effects.map(({ kind, key }) => `${kind} ${key}`).join(', ')}`,
      );
  };
  must(count('authorization') <= 1, 'one authorization at most');
  must(sum('authorization') === count('authorization') * totalMinor, 'the authorized amount is the total');
  must(sum('capture') + sum('void') === sum('authorization'), 'all that was authorized was captured or given back');
  must(sum('capture') === payment.capturedMinor, 'both sides know the same of the capture');
  if (status === 'completed') {
    must(count('capture') === 1 && sum('capture') === totalMinor, 'the total was captured once');
    must(count('shipment') === 1 && count('cancellation') === 0, 'one parcel was sent');
  } else {
    must(count('capture') === 0, 'nothing was captured');
    must(count('shipment') === count('cancellation'), 'every booked parcel was called off');
  }
  return broken;
}

/** What left the house is gone from the shelf, what did not is not held. Only for a stack with one article. */
async function heldStock(stack: Stack, orders: readonly OrderView[]): Promise<string[]> {
  const rows = await stack.sql<{ sku: string; state: string; quantity: string }>(
    `select sku, state, sum(quantity) as quantity from reservations where order_id = any($1) group by 1, 2`,
    [orders.map(({ id }) => id)],
  );
  const held = rows.filter(({ state }) => state === 'reserved');
  const sold = new Map<string, number>();
  for (const order of orders.filter(({ status }) => status === 'completed'))
    for (const { sku, quantity } of order.items) sold.set(sku, (sold.get(sku) ?? 0) + quantity);
  const dispatched = new Map(
    rows.filter(({ state }) => state === 'dispatched').map((row) => [row.sku, Number(row.quantity)]),
  );
  return [
    ...held.map(({ sku, quantity }) => `${quantity} of ${sku} are held for orders at their end`),
    ...[...new Set([...sold.keys(), ...dispatched.keys()])]
      .filter((sku) => sold.get(sku) !== dispatched.get(sku))
      .map((sku) => `${sold.get(sku) ?? 0} of ${sku} were sold, ${dispatched.get(sku) ?? 0} dispatched`),
  ];
}

/**
 * Requests to a provider that nobody knows the outcome of. Not bookings whose parcel left: "dispatched" proves "booked",
 * and the reconciler asks for the rest in its own time.
 */
async function unsettled(stack: Stack, orders: readonly OrderView[]): Promise<string[]> {
  const effects = await stack.sql<{ key: string }>(
    `select e.key from effects e left join fulfillments f on f.id = e.fulfillment_id
     where e.order_id = any($1) and e.requested_at is not null and e.outcome is null
       and not (e.kind = 'book' and f.dispatched_at is not null)`,
    [orders.map(({ id }) => id)],
  );
  return effects.map(({ key }) => `the outcome of ${key} is unknown`);
}

/** On hand and reserved of an article, for before and after. */
export async function stockOf(stack: Stack, sku: string): Promise<{ onHand: number; reserved: number }> {
  const { json } = await stack.request('GET', `/v1/stock/${sku}`);
  const { onHand, reserved } = json as { onHand: number; reserved: number };
  return { onHand, reserved };
}
