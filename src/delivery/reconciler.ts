import { forEachBounded } from '../bounded.ts';
import { resolveUnknown, undoStray } from '../domain/provider-effects.ts';
import { STANDS_STILL } from '../domain/steps.ts';
import type { IdleOrder, OrderWorkflows, Outstanding } from '../domain/order-ports.ts';
import type {
  Carrier,
  EffectJournal,
  PaymentGateway,
  PaymentRoutes,
  Payments,
  Shipping,
  StrayEffect,
} from '../domain/provider-ports.ts';
import type { Attempt } from '../domain/step-ports.ts';
import type { Log } from '../telemetry/log.ts';

type WorkflowState = Awaited<ReturnType<OrderWorkflows['state']>>;

export interface ReconcileDeps {
  readonly outstanding: Outstanding;
  readonly workflows: OrderWorkflows;
  readonly journal: EffectJournal;
  readonly gateway: PaymentGateway;
  readonly carrier: Carrier;
  readonly payments: Payments;
  readonly shipping: Shipping;
  /** Absent where there is one payment gateway alone. */
  readonly routes?: Pick<PaymentRoutes, 'doubtful'> | undefined;
  readonly log: Log;
}

export interface ReconcileSettings {
  /** An order without a change for this long is looked at. */
  readonly idleMs: number;
  /** A running workflow without progress for this long, that waits neither for a person nor the carrier, stands still. */
  readonly standstillMs: number;
  /** The carrier is waited for no longer than this: the workflow itself should have told a person before. */
  readonly carrierMs: number;
  /** A provider's answer that is missing for this long is asked for. */
  readonly unknownMs: number;
  /** One order or effect takes no longer than this, so that a provider that hangs holds up no round. */
  readonly itemMs: number;
}

export interface ReconcileCounts {
  readonly looked: number;
  readonly flagged: number;
  readonly resolved: number;
  readonly undone: number;
}

const BATCH = 200;
const AT_A_TIME = 8;

/**
 * Compares what the records say with what Temporal and the providers say, and sees to what nobody else would: orders
 * whose workflow is gone or stands still are flagged for a person, unknown outcomes are asked for, effects that
 * landed after their undo are taken back. One round.
 */
export async function reconcile(
  deps: ReconcileDeps,
  settings: ReconcileSettings,
  attempt: Attempt,
): Promise<ReconcileCounts> {
  const count = counter(deps, settings.itemMs, attempt);
  const idle = await deps.outstanding.takeIdle(settings.idleMs, BATCH);
  const flagged = await count(idle, (order) => compare(deps, settings, order));
  const unknown = await deps.journal.unsettled(settings.unknownMs, BATCH);
  const resolved = await count(unknown, (effect, bounded) => resolveUnknown(deps, effect, bounded));
  const strays = await deps.journal.strays(BATCH);
  const undone = await count(strays, (stray, bounded) => takeBack(deps, stray, bounded));
  // Asked for what the answer tells on the way: that two gateways had an effect.
  const doubtful = (await deps.routes?.doubtful(BATCH)) ?? [];
  await count(doubtful, async ({ key }, bounded) => (await deps.gateway.lookup(key, bounded)) !== undefined);
  return { looked: idle.length, flagged, resolved, undone };
}

/** True if the order had to be flagged. */
async function compare(deps: ReconcileDeps, settings: ReconcileSettings, order: IdleOrder): Promise<boolean> {
  const { outstanding, workflows, log } = deps;
  const { orderId } = order;
  if (!order.started) return false; // The sweeper's.
  const state = await workflows.state(orderId);
  if (order.flag !== null && isOver(order.flag, state)) {
    await outstanding.unflag(orderId, { by: 'recovery' });
    log.info({ orderId, state, was: order.flag.reason }, 'flag taken back');
  }
  if (order.flag !== null && state === 'running') return false;
  const carriersTurn = order.waitsForCarrier && order.idleMs < settings.carrierMs;
  const patient = order.waitsForPerson || carriersTurn || order.idleMs < settings.standstillMs;
  if (state === 'running' && patient) return false;
  const reason = state === 'running' ? `${STANDS_STILL}: no change for ${order.idleMs} ms` : `workflow_${state}`;
  const flagged = await outstanding.flag(orderId, reason);
  if (flagged) log.error({ orderId, status: order.status, reason }, 'order needs attention');
  return flagged;
}

/** What stood still moved on, or is lost since and flagged anew; what was lost is there again. */
function isOver({ reason, changedSince }: NonNullable<IdleOrder['flag']>, state: WorkflowState): boolean {
  const stoodStill = reason.startsWith(STANDS_STILL);
  return state === 'running' ? changedSince || !stoodStill : stoodStill;
}

/** True if it is undone. What a provider will not take back is somebody's to look at: the order is at its end. */
async function takeBack(deps: ReconcileDeps, stray: StrayEffect, attempt: Attempt): Promise<boolean> {
  const result = await undoStray(deps, stray, attempt);
  if (result.outcome === 'undone') return true;
  deps.log.error({ ...stray, result }, 'an effect landed after its undo and cannot be taken back');
  return false;
}

/** Does `work` on each item within its own bounds. Counts where it says true; a failure is left for the next round. */
function counter({ log }: ReconcileDeps, itemMs: number, { signal }: Attempt) {
  return async <T extends { readonly orderId: string }>(
    items: readonly T[],
    work: (item: T, bounded: Attempt) => Promise<boolean>,
  ): Promise<number> => {
    let done = 0;
    await forEachBounded(items, { concurrency: AT_A_TIME, signal }, async (item) => {
      try {
        if (await work(item, { signal: AbortSignal.any([signal, AbortSignal.timeout(itemMs)]) })) done += 1;
      } catch (error) {
        log.warn({ err: error, orderId: item.orderId }, 'reconcile: left for the next round');
      }
    });
    return done;
  };
}
