/**
 * What the order's way needs of the outside world: a payment gateway and a carrier as they are, the journal of what was
 * asked of them, and the recorded steps made of both. The rules of step-ports.ts hold here too.
 */
import type { Address, Attempt, ScreeningResult, StepRef, UndoRef } from './step-ports.ts';

/**
 * The longest that one attempt at a provider may last. What was asked of it is decided after this: an undo that found
 * nothing looks again, and a payment may go to another gateway.
 */
export const LONGEST_ATTEMPT_MS = 15_000;

export interface PaymentRequest {
  readonly orderId: string;
  readonly amountMinor: number;
  readonly currency: string;
}

export type AuthorizeOutcome =
  | { readonly outcome: 'authorized'; readonly authorizationId: string }
  | { readonly outcome: 'declined'; readonly reason: string };

export type CaptureOutcome =
  | { readonly outcome: 'captured'; readonly captureId: string }
  | { readonly outcome: 'refused'; readonly reason: string };

export type VoidOutcome = { readonly outcome: 'voided' } | { readonly outcome: 'refused'; readonly reason: string };

export type RefundOutcome =
  | { readonly outcome: 'refunded'; readonly refundId: string }
  | { readonly outcome: 'refused'; readonly reason: string };

/**
 * A payment gateway. Idempotent by `key`: the same key never charges twice. `lookup*` asks what became of a key;
 * undefined means that the gateway knows of none (yet).
 */
export interface PaymentGateway {
  authorize(
    key: string,
    request: PaymentRequest & { readonly token: string },
    attempt: Attempt,
  ): Promise<AuthorizeOutcome>;
  capture(
    key: string,
    request: PaymentRequest & { readonly authorizationId: string },
    attempt: Attempt,
  ): Promise<CaptureOutcome>;
  /** Releases what is left uncaptured of the authorization. */
  void(
    key: string,
    request: PaymentRequest & { readonly authorizationId: string },
    attempt: Attempt,
  ): Promise<VoidOutcome>;
  refund(
    key: string,
    request: PaymentRequest & { readonly captureId: string },
    attempt: Attempt,
  ): Promise<RefundOutcome>;
  lookup(
    key: string,
    attempt: Attempt,
  ): Promise<AuthorizeOutcome | CaptureOutcome | VoidOutcome | RefundOutcome | undefined>;
}

/** One payment gateway of several that a key went to, or was about to. */
export interface PaymentRoute {
  readonly provider: string;
  /** Known to have had no effect: never sent, or asked for after its last attempt was over. */
  readonly cleared: boolean;
  /** The last attempt that may have been sent there is over, by the store's clock. */
  readonly isOver: boolean;
  /** Those that may have been sent there. */
  readonly attempts: readonly string[];
}

/**
 * Which of several payment gateways each key is with. At most one of a key's routes is not cleared, so that no two
 * gateways are ever asked for the same money.
 */
export interface PaymentRoutes {
  /**
   * Commits that `key` is about to be sent, and says where to: to where it may have been sent before, else to the first
   * of `providers` that it was not with yet, else to the one that it was with longest ago. `isNew`: it was not there
   * before.
   */
  open(
    key: string,
    orderId: string,
    providers: readonly string[],
  ): Promise<{ readonly provider: string; readonly attempt: string; readonly isNew: boolean }>;
  /** That attempt was not sent after all. True if no other may have been, which clears the route. */
  withdraw(key: string, route: { readonly provider: string; readonly attempt: string }): Promise<boolean>;
  find(key: string): Promise<readonly PaymentRoute[]>;
  /** The provider knows nothing of the key after all attempts of `seen` were over; does nothing if there is another. */
  clear(key: string, seen: PaymentRoute): Promise<void>;
  /**
   * A key that was requested and has no route may have been sent, by whoever keeps no routes. Where to, `ownerOf` says of
   * the authorization or capture that the request names, if it names one. Resolves with that; undefined for a key that
   * was never requested.
   */
  suspect(key: string, ownerOf: (id: string | undefined) => string): Promise<string | undefined>;
  /**
   * Keys of which a provider knew nothing after something was sent there, for it may do it late all the same: due a
   * minute after that, then after twice as long each time, for a day. Each look counts as done.
   */
  doubtful(limit: number): Promise<readonly { readonly orderId: string; readonly key: string }[]>;
  /** Providers, none of `providers`, that payments of orders not at their end are with. */
  strangers(providers: readonly string[]): Promise<readonly string[]>;
}

export interface ShipmentRequest {
  readonly orderId: string;
  readonly fulfillmentId: string;
  readonly location: string;
  readonly address: Address;
  readonly items: readonly { readonly sku: string; readonly quantity: number }[];
}

export type BookOutcome =
  | { readonly outcome: 'booked'; readonly shipmentId: string; readonly trackingNumber: string }
  | { readonly outcome: 'refused'; readonly reason: string };

export type CancelShipmentOutcome = { readonly outcome: 'cancelled' } | { readonly outcome: 'already_dispatched' };

export interface Carrier {
  book(key: string, request: ShipmentRequest, attempt: Attempt): Promise<BookOutcome>;
  cancel(key: string, request: { readonly shipmentId: string }, attempt: Attempt): Promise<CancelShipmentOutcome>;
  lookup(key: string, attempt: Attempt): Promise<BookOutcome | CancelShipmentOutcome | undefined>;
}

/** What a risk service is told of an order: ids and amounts, nothing personal. */
export interface RiskFacts {
  readonly orderId: string;
  readonly amountMinor: number;
  readonly currency: string;
  /** Orders of the customer so far, this one included; counted up to `MOST_COUNTED`: as many or more. */
  readonly customerOrders: number;
}

export const MOST_COUNTED = 1_000;

/** A risk service: is asked and changes nothing. Reasons are codes that begin with `risk_`. */
export interface RiskService {
  assess(key: string, facts: RiskFacts, attempt: Attempt): Promise<ScreeningResult>;
}

export interface QuoteRequest {
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
  readonly currency: string;
  readonly items: readonly { readonly sku: string; readonly quantity: number }[];
}

export type QuoteOutcome =
  | { readonly outcome: 'quoted'; readonly amountMinor: number }
  | { readonly outcome: 'refused'; readonly reason: string };

/** What a carrier would ask for a shipment. Amounts are in the currency that was asked for. */
export interface Quotes {
  quote(request: QuoteRequest, attempt: Attempt): Promise<QuoteOutcome>;
}

export type EffectKind = 'authorize' | 'capture' | 'void' | 'refund' | 'book' | 'cancel_shipment';

export interface EffectTypes {
  authorize: { input: PaymentRequest & { readonly token: string }; outcome: AuthorizeOutcome };
  capture: {
    input: PaymentRequest & { readonly authorizationId: string; readonly fulfillmentId: string };
    outcome: CaptureOutcome;
  };
  void: { input: PaymentRequest & { readonly authorizationId: string }; outcome: VoidOutcome };
  refund: {
    input: PaymentRequest & { readonly captureId: string; readonly fulfillmentId: string };
    outcome: RefundOutcome;
  };
  book: { input: ShipmentRequest; outcome: BookOutcome };
  cancel_shipment: {
    input: { readonly shipmentId: string; readonly fulfillmentId: string };
    outcome: CancelShipmentOutcome;
  };
}

/** What the journal knows of a key. `outcome` undefined: requested, answer unknown. */
export interface EffectRecord<K extends EffectKind> {
  readonly kind: K;
  /** Fixed at the first attempt, whatever changed in the order since. */
  readonly input: EffectTypes[K]['input'];
  /** `never_happened`: the provider was asked after the longest attempt and knows nothing. */
  readonly outcome: EffectTypes[K]['outcome'] | { readonly outcome: 'never_happened' } | undefined;
  /** Its effect was taken back, under whichever key. */
  readonly undone?: true;
}

export interface OpenedEffect<K extends EffectKind> extends EffectRecord<K> {
  /** This call wrote the request. Otherwise an earlier attempt did, and the provider may know the key. */
  readonly first: boolean;
}

/**
 * The journal of provider effects: one row per key, and for payments the append-only ledger beside it, written in the
 * same transaction under the order's row lock.
 */
export interface EffectJournal {
  /**
   * Commits the request with its input, made from the order as it is now by the store itself (`authorize` and `book`
   * read the order; the others get theirs from `input`). Throws `step_undone` if `key` has a tombstone.
   */
  openAuthorize(step: StepRef): Promise<OpenedEffect<'authorize'>>;
  openBook(step: StepRef & { readonly fulfillmentId: string }): Promise<OpenedEffect<'book'>>;
  open<K extends 'capture' | 'void' | 'refund' | 'cancel_shipment'>(
    step: StepRef,
    kind: K,
    input: EffectTypes[K]['input'],
  ): Promise<OpenedEffect<K>>;
  /**
   * Commits the outcome with the change of status and the event that follow from it. The first outcome stays and is
   * returned; an outcome that arrives after a tombstone is recorded all the same, so that the undo can see it, but an
   * outcome of `never_happened` gives way to a real one.
   */
  settle<K extends EffectKind>(
    step: StepRef,
    kind: K,
    outcome: EffectTypes[K]['outcome'] | { readonly outcome: 'never_happened' },
  ): Promise<EffectTypes[K]['outcome'] | { readonly outcome: 'never_happened' }>;
  /** Forbids further attempts of `key` and returns what is known of it; undefined if nothing was ever requested. */
  tombstone<K extends EffectKind>(step: StepRef, kind: K): Promise<EffectRecord<K> | undefined>;
  find<K extends EffectKind>(key: string, kind: K): Promise<EffectRecord<K> | undefined>;
  /**
   * Requests without an outcome for at least `olderThanMs`, and those of the last 24 h that were settled as
   * `never_happened` (an effect may land later than anybody waited), oldest first.
   */
  unsettled(olderThanMs: number, limit: number): Promise<readonly { orderId: string; key: string; kind: EffectKind }[]>;
  /**
   * Effects that landed after their undo: authorizations, captures and bookings whose success became known only after
   * their tombstone, at their order's end or five minutes later, so that the undo is over. Not those whose undo was
   * asked for or answered all the same, nor those whose undo a person skipped: somebody saw to them.
   */
  strays(limit: number): Promise<readonly StrayEffect[]>;
}

export interface StrayEffect {
  readonly orderId: string;
  readonly key: string;
  readonly kind: 'authorize' | 'capture' | 'book';
  readonly fulfillmentId: string | null;
}

/**
 * - `undone`: there was an effect, and it is taken back
 * - `nothing`: there was none, and there will be none
 * - `look_again`: none was found, but an attempt may still be on its way: ask again, with `final`, once the longest
 *   attempt is over
 * - `already_dispatched`: a shipment that has left cannot be cancelled
 * - `refused`: the provider will not take it back; somebody must look
 */
export type UndoOutcome =
  | { readonly outcome: 'undone' | 'nothing' | 'look_again' | 'already_dispatched' }
  | { readonly outcome: 'refused'; readonly reason: string };

/** An undo at a provider. `final`: the longest attempt is over; what is not found now never happened. */
export interface ProviderUndo extends UndoRef {
  readonly final: boolean;
}

/** Payment steps, recorded: request committed, gateway called, outcome committed. */
export interface Payments {
  authorize(step: StepRef, attempt: Attempt): Promise<AuthorizeOutcome>;
  capture(step: CaptureStep, attempt: Attempt): Promise<CaptureOutcome>;
  /** Voids what is left uncaptured of the authorization `undoes`. */
  undoAuthorize(undo: ProviderUndo, attempt: Attempt): Promise<UndoOutcome>;
  /** Refunds the capture `undoes`. */
  undoCapture(undo: ProviderUndo & { readonly fulfillmentId: string }, attempt: Attempt): Promise<UndoOutcome>;
}

export interface CaptureStep extends StepRef {
  readonly fulfillmentId: string;
  readonly amountMinor: number;
  readonly currency: string;
  /** The step whose authorization is captured. */
  readonly authorizeKey: string;
}

export interface Shipping {
  book(step: StepRef & { readonly fulfillmentId: string }, attempt: Attempt): Promise<BookOutcome>;
  undoBook(undo: ProviderUndo & { readonly fulfillmentId: string }, attempt: Attempt): Promise<UndoOutcome>;
}
