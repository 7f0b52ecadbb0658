import { CancellationScope, allHandlersFinished, condition, isCancellation } from '@temporalio/workflow';
import { type TerminalStatus, rollUp } from '../domain/order.ts';
import type { PlannedFulfillment } from '../domain/step-ports.ts';
import { own, provider } from './activity-options.ts';
import type { OrderEnd, OrderInput } from './contract.ts';
import { fulfill } from './fulfill.ts';
import { GivenUp, SKIPPED, park, perform } from './perform.ts';
import { Run } from './run.ts';
import { Saga } from './saga.ts';
import { undoAtProvider } from './undo.ts';

/** The story ends early, by a decision of the business: what was taken goes back. */
class Ending extends Error {
  override readonly name = 'Ending';
  readonly status: Extract<TerminalStatus, 'rejected' | 'cancelled'>;

  constructor(status: Ending['status'], reason: string) {
    super(reason);
    this.status = status;
  }
}

/**
 * An order's way: screen, reserve, authorize, confirmed; then each fulfillment its own way; then the end. Whatever
 * fails is undone, newest first; whatever cannot be decided here waits, visibly, for a person.
 */
export async function order(input: OrderInput): Promise<OrderEnd> {
  const run = new Run(input);
  // Temporal's own cancellation (its Web UI, its CLI) is one more way to ask for ours.
  CancellationScope.current().cancelRequested.catch(() => run.requestCancel());
  return CancellationScope.nonCancellable(async () => {
    const saga = new Saga();
    const { status, reason } = await tell(run, saga);
    await perform(run, {
      name: 'finish',
      room: own,
      call: (a, key) => a.finish({ orderId: run.orderId, key, status, reason }),
    });
    run.setStatus(status);
    await condition(allHandlersFinished);
    return { orderId: run.orderId, status, reason };
  });
}

async function tell(run: Run, saga: Saga): Promise<{ status: TerminalStatus; reason: string | null }> {
  try {
    // A replacement walks the recorded way again; from a confirmed order there is no way back but over the pivot.
    const heedsCancel = run.input.confirmed !== true;
    if (run.input.incarnation > 0) {
      // What the former workflow took is not known before the walk has come by.
      saga.register('release', () => release(run));
      saga.register('void', () => voidAuthorization(run, run.key('authorize')));
    }
    const plan = await run.cancellableWhen(
      () => heedsCancel && run.cancelRequested,
      () => accept(run, saga),
    );
    return await carryOut(run, saga, plan);
  } catch (error) {
    const ending = endingOf(error);
    if (!ending) throw error;
    await saga.compensate();
    return { status: ending.status, reason: ending.message };
  }
}

function endingOf(error: unknown): Ending | undefined {
  if (error instanceof Ending) return error;
  if (error instanceof GivenUp) {
    return error.action === 'reject'
      ? new Ending('rejected', `review: ${error.message}`)
      : new Ending('cancelled', `given_up: ${error.message}`);
  }
  if (isCancellation(error)) return new Ending('cancelled', 'cancel_requested');
  return undefined;
}

/** Up to the confirmation; a cancellation stops it anywhere. */
async function accept(run: Run, saga: Saga): Promise<readonly PlannedFulfillment[]> {
  const { orderId } = run;
  await screen(run);

  saga.register('release', () => release(run));
  const reserved = await perform(run, {
    name: 'reserve',
    room: own,
    call: (a, key) => a.reserve({ orderId, key }),
  });
  if (reserved === SKIPPED || reserved.outcome === 'out_of_stock') {
    throw new Ending('rejected', reserved === SKIPPED ? 'out_of_stock' : `out_of_stock: ${reserved.skus.join(', ')}`);
  }

  saga.register('void', () => voidAuthorization(run, run.key('authorize')));
  const authorized = await perform(run, {
    name: 'authorize',
    room: provider,
    call: (a, key) => a.authorize({ orderId, key }),
    undo: (key) => voidAuthorization(run, key),
  });
  if (authorized === SKIPPED || authorized.outcome === 'declined') {
    throw new Ending('rejected', authorized === SKIPPED ? 'declined' : `payment_declined: ${authorized.reason}`);
  }

  await perform(run, { name: 'confirm', room: own, call: (a, key) => a.confirm({ orderId, key }) });
  run.setStatus('confirmed');
  return reserved.fulfillments;
}

async function screen(run: Run): Promise<void> {
  const { orderId } = run;
  const screened = await perform(run, { name: 'screen', room: own, call: (a, key) => a.screen({ orderId, key }) });
  if (screened === SKIPPED || screened.verdict === 'approve') return;
  if (screened.verdict === 'reject') throw new Ending('rejected', `screening: ${screened.reason}`);
  run.setStatus('in_review');
  const decided = await park(run, { step: 'screen', reason: screened.reason });
  if (decided !== 'recovered' && decided.action === 'reject')
    throw new Ending('rejected', `review: ${screened.reason}`);
}

/** From the confirmation on: each fulfillment by itself, then what is left. */
async function carryOut(
  run: Run,
  saga: Saga,
  plan: readonly PlannedFulfillment[],
): Promise<{ status: TerminalStatus; reason: string | null }> {
  const ends = await Promise.all(plan.map((fulfillment) => fulfill(run, plan, fulfillment)));
  if (ends.every((end) => end.status === 'cancelled')) {
    // Nothing has left the house, so nothing was captured: all goes back.
    await saga.compensate();
    return { status: 'cancelled', reason: ends[0]?.reason ?? null };
  }
  const captured = ends.reduce((total, end) => total + end.capturedMinor, 0);
  if (captured < run.input.totalMinor) await voidAuthorization(run, run.key('authorize'));
  const status = rollUp(ends.map((end) => end.status));
  if (status === 'confirmed' || status === 'fulfilling') {
    throw new Error(`fulfillments of order ${run.orderId} ended as ${ends.map((end) => end.status).join(', ')}`);
  }
  return { status, reason: ends.find((end) => end.reason !== null)?.reason ?? null };
}

/** An undo takes back the generation that is the present one when it runs; corrections take back the former ones. */
async function release(run: Run): Promise<void> {
  const { orderId } = run;
  const undoes = run.key('reserve');
  await perform(run, { name: 'release', undoes, room: own, call: (a, key) => a.release({ orderId, key, undoes }) });
}

/** Gives back what is authorized and not captured. */
async function voidAuthorization(run: Run, undoes: string): Promise<void> {
  const { orderId } = run;
  await undoAtProvider(run, {
    name: 'void',
    undoes,
    call: (a, key, final) => a.undoAuthorize({ orderId, key, undoes, final }),
  });
}
