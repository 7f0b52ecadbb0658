import type { RedriveView, Redrives } from '../domain/consumer-ports.ts';
import type { ConsumerTroubles } from '../domain/delivery-ports.ts';
import type { Payments, Shipping } from '../domain/provider-ports.ts';
import type { RedriveProgress } from '../domain/redrive.ts';
import type { Orders, Screening, Stock } from '../domain/step-ports.ts';
import type { Attempt } from '../domain/step-ports.ts';
import { attempt, guarded } from './attempt.ts';

/** What the steps of an order, its upkeep, and the workflows of delivery need. */
export interface ActivityPorts {
  readonly screening: Screening;
  readonly stock: Stock;
  readonly payments: Payments;
  readonly shipping: Shipping;
  readonly orders: Orders;
  readonly troubles: Omit<ConsumerTroubles, 'inTrouble'>;
  readonly redrives: Pick<Redrives, 'find' | 'sendNext' | 'advance'>;
  readonly upkeep: Upkeep;
}

/** One round of looking after what got stuck; see delivery/. Counts what it did. */
export interface Upkeep {
  run(attempt: Attempt): Promise<Readonly<Record<string, number>>>;
}

type Input<Port, Method extends keyof Port> = Port[Method] extends (input: infer I, ...rest: never[]) => unknown
  ? I
  : never;

interface Trouble {
  readonly consumerId: string;
  readonly epoch: number;
}

/** The activities: each is one port call, with the failure translated for Temporal. */
export function createActivities(ports: ActivityPorts) {
  const { screening, stock, payments, shipping, orders, troubles, redrives, upkeep } = ports;
  return guarded({
    screen: (step: Input<Screening, 'screen'>) => screening.screen(step),
    reserve: (step: Input<Stock, 'reserve'>) => stock.reserve(step),
    release: (undo: Input<Stock, 'release'>) => stock.release(undo),
    authorize: (step: Input<Payments, 'authorize'>) => payments.authorize(step, attempt()),
    capture: (step: Input<Payments, 'capture'>) => payments.capture(step, attempt()),
    undoAuthorize: (undo: Input<Payments, 'undoAuthorize'>) => payments.undoAuthorize(undo, attempt()),
    undoCapture: (undo: Input<Payments, 'undoCapture'>) => payments.undoCapture(undo, attempt()),
    book: (step: Input<Shipping, 'book'>) => shipping.book(step, attempt()),
    undoBook: (undo: Input<Shipping, 'undoBook'>) => shipping.undoBook(undo, attempt()),
    confirm: (step: Input<Orders, 'confirm'>) => orders.confirm(step),
    dispatch: (step: Input<Orders, 'dispatch'>) => orders.dispatch(step),
    deliver: (step: Input<Orders, 'deliver'>) => orders.deliver(step),
    failDelivery: (step: Input<Orders, 'failDelivery'>) => orders.failDelivery(step),
    cancelFulfillment: (step: Input<Orders, 'cancelFulfillment'>) => orders.cancelFulfillment(step),
    withdrawCancellation: (step: Input<Orders, 'withdrawCancellation'>) => orders.withdrawCancellation(step),
    correct: (step: Input<Orders, 'correct'>) => orders.correct(step),
    checkDecision: (decision: Input<Orders, 'checkDecision'>) => orders.checkDecision(decision),
    openAttention: (step: Input<Orders, 'openAttention'>) => orders.openAttention(step),
    closeAttention: (step: Input<Orders, 'closeAttention'>) => orders.closeAttention(step),
    finish: (step: Input<Orders, 'finish'>) => orders.finish(step),
    observeTrouble: ({ consumerId, epoch }: Trouble) => troubles.observe(consumerId, epoch),
    probeConsumer: ({ consumerId, epoch }: Trouble) => troubles.probe(consumerId, epoch),
    openConsumer: ({ consumerId, epoch, sendLimit }: Trouble & { readonly sendLimit: number }) =>
      troubles.open(consumerId, epoch, sendLimit),
    endTrouble: ({ consumerId, epoch }: Trouble) => troubles.end(consumerId, epoch),
    giveUpConsumer: ({ consumerId, epoch }: Trouble) => troubles.giveUp(consumerId, epoch),
    lookAtRedrive: async ({ redriveId }: { readonly redriveId: string }) => progressOf(await redrives.find(redriveId)),
    // Tried again where it was not known whether the first attempt came through, it sends a batch more: the rate is
    // exceeded once, and nothing is sent twice.
    sendNextOfRedrive: ({ redriveId, count }: { readonly redriveId: string; readonly count: number }) =>
      redrives.sendNext(redriveId, count),
    advanceRedrive: ({
      redriveId,
      state,
    }: {
      readonly redriveId: string;
      readonly state: Parameters<Redrives['advance']>[1];
    }) => redrives.advance(redriveId, state),
    upkeep: () => upkeep.run(attempt()),
  });
}

export type Activities = ReturnType<typeof createActivities>;

/** Null where there is none: what is undefined does not come through Temporal as such. */
function progressOf(redrive: RedriveView | undefined): RedriveProgress | null {
  if (redrive === undefined) return null;
  const { state, ratePerSecond, total, sent, delivered, deadAgain } = redrive;
  return { state, ratePerSecond, total, sent, delivered, deadAgain };
}
