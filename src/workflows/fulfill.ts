import { condition, isCancellation, sleep } from '@temporalio/workflow';
import type { FulfillmentStatus } from '../domain/fulfillment.ts';
import type { PlannedFulfillment } from '../domain/step-ports.ts';
import { stepKey } from '../domain/steps.ts';
import { own, provider } from './activity-options.ts';
import { GivenUp, SKIPPED, park, perform } from './perform.ts';
import type { Run } from './run.ts';
import { undoAtProvider } from './undo.ts';

export interface FulfillmentEnd {
  readonly status: Extract<FulfillmentStatus, 'delivered' | 'cancelled' | 'failed'>;
  readonly capturedMinor: number;
  /** Why it was not delivered. */
  readonly reason: string | null;
}

/**
 * One fulfillment's way: book, dispatched, capture its share, delivered. Cancelling the shipment is the pivot: what
 * the carrier has not taken yet can be given up; what it has goes on to its end.
 */
export async function fulfill(
  run: Run,
  plan: readonly PlannedFulfillment[],
  fulfillment: PlannedFulfillment,
): Promise<FulfillmentEnd> {
  const { id } = fulfillment;
  const givenUp = await untilDispatched(run, id);
  if (givenUp !== undefined && (await takeBack(run, id))) {
    await releaseOwnShare(run, plan, id);
    return { status: 'cancelled', capturedMinor: 0, reason: givenUp };
  }
  const { orderId } = run;
  const at = run.dispatchedAt.get(id) ?? new Date().toISOString();
  run.dispatchedAt.set(id, at);
  await perform(run, {
    name: 'dispatch',
    fulfillmentId: id,
    room: own,
    call: (a, key) => a.dispatch({ orderId, key, fulfillmentId: id, at }),
  });
  run.setStatus('fulfilling');
  const captured = await capture(run, fulfillment);
  return captured === 'given_up'
    ? failDelivery(run, id, 'given_up', fulfillment.amountMinor)
    : deliver(run, fulfillment, captured);
}

/** Books and waits for the carrier. Returns why it was given up, undefined once it is dispatched. */
async function untilDispatched(run: Run, id: string): Promise<string | undefined> {
  const dispatched = (): boolean => run.dispatchedAt.has(id);
  try {
    await run.cancellableWhen(
      () => dispatched() || run.cancelRequested,
      async () => {
        await book(run, id);
        // Only the scope's cancellation, or a person, ends this wait.
        for (;;) {
          await sleep(run.input.dispatchOverdueMs);
          const decided = await park(run, { step: 'await_dispatch', fulfillmentId: id, reason: 'dispatch_overdue' });
          if (decided !== 'recovered' && decided.action === 'cancel') throw new GivenUp('dispatch_overdue');
        }
      },
    );
  } catch (error) {
    if (error instanceof GivenUp) return dispatched() ? undefined : `given_up: ${error.message}`;
    if (!isCancellation(error)) throw error;
  }
  return dispatched() ? undefined : 'cancel_requested';
}

async function book(run: Run, id: string): Promise<void> {
  const { orderId } = run;
  await perform(run, {
    name: 'book',
    fulfillmentId: id,
    room: provider,
    call: (a, key) => a.book({ orderId, key, fulfillmentId: id }),
    refusal: (result) => (result.outcome === 'refused' ? result.reason : undefined),
    undo: async (key) => {
      await cancelShipment(run, id, key);
    },
  });
}

function cancelShipment(run: Run, id: string, undoes: string): ReturnType<typeof undoAtProvider> {
  const { orderId } = run;
  return undoAtProvider(run, {
    name: 'cancel_shipment',
    fulfillmentId: id,
    undoes,
    call: (a, key, final) => a.undoBook({ orderId, key, undoes, fulfillmentId: id, final }),
  });
}

/** The pivot. False if the goods are on their way already: then the wish to cancel is withdrawn, visibly. */
async function takeBack(run: Run, id: string): Promise<boolean> {
  const answer = await cancelShipment(run, id, run.key('book', id));
  if (answer === 'already_dispatched' || run.dispatchedAt.has(id)) {
    await withdrawCancellation(run, id);
    return false;
  }
  const { orderId } = run;
  await perform(run, {
    name: 'cancel_shipment',
    fulfillmentId: id,
    room: own,
    call: (a) => a.cancelFulfillment({ orderId, key: stepKey(orderId, 'cancel_shipment', 0, id), fulfillmentId: id }),
  });
  return true;
}

/**
 * Gives the stock of a cancelled fulfillment back at once if another one of the order goes on, which may take weeks.
 * Otherwise the whole order is cancelled, and its undos do it in their order.
 */
async function releaseOwnShare(run: Run, plan: readonly PlannedFulfillment[], id: string): Promise<void> {
  const others = plan.filter((other) => other.id !== id);
  run.cancelled.add(id);
  const someoneGoesOn = (): boolean => others.some((other) => run.dispatchedAt.has(other.id));
  await condition(() => someoneGoesOn() || others.every((other) => run.cancelled.has(other.id)));
  if (!someoneGoesOn()) return;
  const { orderId } = run;
  const undoes = run.key('reserve');
  await perform(run, {
    name: 'release',
    fulfillmentId: id,
    undoes,
    room: own,
    call: (a, key) => a.release({ orderId, key, undoes, fulfillmentId: id }),
  });
}

/**
 * Takes this fulfillment's share of the payment. Returns how much of the authorization that used up; `given_up` if a
 * former workflow was giving the fulfillment up already.
 */
async function capture(run: Run, { id, amountMinor }: PlannedFulfillment): Promise<number | 'given_up'> {
  const { orderId } = run;
  const { currency } = run.input;
  const authorizeKey = run.key('authorize');
  try {
    const captured = await perform(run, {
      name: 'capture',
      fulfillmentId: id,
      room: provider,
      call: (a, key) => a.capture({ orderId, key, fulfillmentId: id, amountMinor, currency, authorizeKey }),
      refusal: (result) => (result.outcome === 'refused' ? result.reason : undefined),
    });
    if (captured !== SKIPPED) return amountMinor;
  } catch (error) {
    if (error instanceof GivenUp) return 'given_up';
    throw error;
  }
  // Written off, or paid outside: should the capture have had its effect all the same, the customer gets it back.
  return (await refund(run, id)) ? amountMinor : 0;
}

async function deliver(run: Run, { id }: PlannedFulfillment, capturedMinor: number): Promise<FulfillmentEnd> {
  const { orderId } = run;
  if (!(await untilDelivered(run, id))) return failDelivery(run, id, 'delivery_overdue', capturedMinor);
  const at = run.deliveredAt.get(id) ?? new Date().toISOString();
  await perform(run, {
    name: 'deliver',
    fulfillmentId: id,
    room: own,
    call: (a, key) => a.deliver({ orderId, key, fulfillmentId: id, at }),
  });
  return { status: 'delivered', capturedMinor, reason: null };
}

/** Dispatched, and given up: the customer gets the money back. */
async function failDelivery(run: Run, id: string, reason: string, capturedMinor: number): Promise<FulfillmentEnd> {
  const { orderId } = run;
  if (capturedMinor > 0) await refund(run, id);
  await perform(run, {
    name: 'fail_delivery',
    fulfillmentId: id,
    room: own,
    call: (a, key) => a.failDelivery({ orderId, key, fulfillmentId: id, reason }),
  });
  return { status: 'failed', capturedMinor, reason };
}

/** True if there was something to give back. */
async function refund(run: Run, id: string): Promise<boolean> {
  const { orderId } = run;
  const undoes = run.key('capture', id);
  const refunded = await undoAtProvider(run, {
    name: 'refund',
    fulfillmentId: id,
    undoes,
    call: (a, key, final) => a.undoCapture({ orderId, key, undoes, fulfillmentId: id, final }),
  });
  return refunded !== 'nothing';
}

/** False if a person gave it up as lost. A wish to cancel that comes this late is withdrawn. */
async function untilDelivered(run: Run, id: string): Promise<boolean> {
  const delivered = (): boolean => run.deliveredAt.has(id);
  for (;;) {
    if (run.cancelRequested) await withdrawCancellation(run, id);
    const moved = await condition(() => delivered() || run.cancelRequested, run.input.deliveryOverdueMs);
    if (delivered()) return true;
    if (moved) continue;
    try {
      const decided = await run.cancellableWhen(delivered, () =>
        park(run, { step: 'await_delivery', fulfillmentId: id, reason: 'delivery_overdue' }),
      );
      if (decided === 'recovered' || decided.action === 'retry') continue;
      return decided.action === 'skip';
    } catch (error) {
      if (!isCancellation(error)) throw error;
    }
  }
}

async function withdrawCancellation(run: Run, id: string): Promise<void> {
  if (!run.cancelRequested) return;
  run.cancelRequested = false;
  const { orderId } = run;
  await perform(run, {
    name: 'withdraw_cancellation',
    fulfillmentId: id,
    room: own,
    // A replacement withdraws what was wished since.
    call: (a, key) =>
      a.withdrawCancellation({ orderId, key: `${key}.${run.input.incarnation}`, reason: `already_dispatched: ${id}` }),
  });
  run.nextGeneration('withdraw_cancellation', id);
}
