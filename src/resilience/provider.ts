import type { Carrier, PaymentGateway } from '../domain/provider-ports.ts';
import type { Attempt } from '../domain/step-ports.ts';
import type { CallKind } from './bulkhead.ts';
import type { Guard } from './guard.ts';

/**
 * The same gateway behind its guard: what is refused was not sent. A method that the port gains does not compile until
 * it is guarded too.
 */
export function guardedGateway<Gateway extends PaymentGateway>(gateway: Gateway, guard: Guard): Gateway {
  const guarded: PaymentGateway = {
    authorize: (key, request, attempt) => guard.run('do', attempt, () => gateway.authorize(key, request, attempt)),
    capture: (key, request, attempt) => guard.run('do', attempt, () => gateway.capture(key, request, attempt)),
    void: (key, request, attempt) => guard.run('undo', attempt, () => gateway.void(key, request, attempt)),
    refund: (key, request, attempt) => guard.run('undo', attempt, () => gateway.refund(key, request, attempt)),
    lookup: (key, attempt) => guard.run('undo', attempt, () => gateway.lookup(key, attempt)),
  };
  return { ...gateway, ...guarded };
}

export function guardedCarrier<C extends Carrier>(carrier: C, guard: Guard): C {
  const guarded: Carrier = {
    book: (key, request, attempt) => guard.run('do', attempt, () => carrier.book(key, request, attempt)),
    cancel: (key, request, attempt) => guard.run('undo', attempt, () => carrier.cancel(key, request, attempt)),
    lookup: (key, attempt) => guard.run('undo', attempt, () => carrier.lookup(key, attempt)),
  };
  return { ...carrier, ...guarded };
}

/** The same for the one method of a smaller port, whose last argument is the attempt. */
export function guardedCall<Args extends readonly unknown[], T>(
  guard: Guard,
  call: (...args: [...Args, Attempt]) => Promise<T>,
  kind: CallKind = 'do',
): (...args: [...Args, Attempt]) => Promise<T> {
  return (...args) => guard.run(kind, args.at(-1) as Attempt, () => call(...args));
}
