import { isTerminal } from '../../src/domain/order.ts';
import type { World } from './world.ts';

/** Which of the system's promises the world breaks, at an order's end; empty if it is sound. */
export function unsound(world: World): string[] {
  const { store } = world;
  const broken: string[] = [];
  if (!isTerminal(store.status)) broken.push(`the order ended and is ${store.status}`);
  for (const { attentionId, step } of store.openAttentions()) broken.push(`attention ${attentionId} (${step}) is open`);
  return [...broken, ...unsoundPayments(world), ...unsoundShipments(world), ...unsoundStock(world)];
}

/** A step that a person has seen to outside leaves traces that nobody here can judge. */
function seenToOutside(world: World, step: string): boolean {
  return [...world.store.attentions.values()].some(
    ({ step: of, closed }) => of === step && closed?.by === 'decision' && closed.action === 'skip',
  );
}

function unsoundPayments(world: World): string[] {
  const broken: string[] = [];
  const { authorizations, captures } = world.gateway;
  if (!seenToOutside(world, 'void')) {
    for (const { id, voided, amountMinor, capturedMinor } of authorizations) {
      if (!voided && capturedMinor < amountMinor) broken.push(`${id} still holds ${amountMinor - capturedMinor}`);
    }
  }
  if (authorizations.filter(({ capturedMinor }) => capturedMinor > 0).length > 1) broken.push('two cards were charged');
  for (const { id, amountMinor, status } of world.store.fulfillments) {
    const kept = captures.filter(({ fulfillmentId, refunded }) => fulfillmentId === id && !refunded);
    const expected = status === 'delivered' && !seenToOutside(world, 'capture') ? 1 : 0;
    if (status === 'failed' && seenToOutside(world, 'refund')) continue;
    if (kept.length !== expected) broken.push(`${id} is ${status} and was captured ${kept.length} times`);
    if (kept.some((capture) => capture.amountMinor !== amountMinor)) broken.push(`${id} was captured with a wrong sum`);
  }
  return broken;
}

function unsoundShipments(world: World): string[] {
  const broken: string[] = [];
  const skipped = seenToOutside(world, 'cancel_shipment');
  for (const { id, status } of world.store.fulfillments) {
    const booked = world.carrier.shipments.filter((s) => s.fulfillmentId === id && s.status !== 'cancelled').length;
    const gone = status === 'dispatched' || status === 'delivered' || status === 'failed';
    if (booked > (gone || skipped ? 1 : 0)) broken.push(`${id} is ${status} and has ${booked} shipments`);
  }
  return broken;
}

function unsoundStock(world: World): string[] {
  return world.store.fulfillments
    .filter(({ stock }) => stock === 'reserved')
    .map(({ id, status }) => `${id} is ${status} and still holds stock`);
}
