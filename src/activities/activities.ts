import type { Payments, Shipping } from '../domain/provider-ports.ts';
import type { Orders, Screening, Stock } from '../domain/step-ports.ts';
import type { Attempt } from '../domain/step-ports.ts';
import { attempt, guarded } from './attempt.ts';

/** What the steps of an order and its upkeep need. */
export interface ActivityPorts {
  readonly screening: Screening;
  readonly stock: Stock;
  readonly payments: Payments;
  readonly shipping: Shipping;
  readonly orders: Orders;
  readonly upkeep: Upkeep;
}

/** One round of looking after what got stuck; see delivery/. Counts what it did. */
export interface Upkeep {
  run(attempt: Attempt): Promise<Readonly<Record<string, number>>>;
}

type Input<Port, Method extends keyof Port> = Port[Method] extends (input: infer I, ...rest: never[]) => unknown
  ? I
  : never;

/** The activities: each is one port call, with the failure translated for Temporal. */
export function createActivities({ screening, stock, payments, shipping, orders, upkeep }: ActivityPorts) {
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
    openAttention: (step: Input<Orders, 'openAttention'>) => orders.openAttention(step),
    closeAttention: (step: Input<Orders, 'closeAttention'>) => orders.closeAttention(step),
    finish: (step: Input<Orders, 'finish'>) => orders.finish(step),
    upkeep: () => upkeep.run(attempt()),
  });
}

export type Activities = ReturnType<typeof createActivities>;
