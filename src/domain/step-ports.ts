/**
 * What the order's way needs from outside. Adapters implement these; nothing here knows a technology.
 *
 * Every port method throws `DomainFailure` and nothing else on purpose; a refusal by the business is a result.
 * Every method that changes something takes the step's idempotency `key` and may be called any number of times with
 * it: the first call that finishes decides, the others get its result.
 */
import type { TerminalStatus } from './order.ts';
import type { DecisionAction, StepName } from './steps.ts';

export interface StepRef {
  readonly orderId: string;
  readonly key: string;
}

/** An undo: `key` is its own, `undoes` the key of the step that it takes back. */
export interface UndoRef extends StepRef {
  readonly undoes: string;
}

/** One attempt's bounds: abort when `signal` fires. It fires before the activity's own time-out does. */
export interface Attempt {
  readonly signal: AbortSignal;
  /** When `signal` fires for want of time, in milliseconds of `performance.now()`; it travels with the call. */
  readonly deadline?: number | undefined;
}

export interface Address {
  readonly name: string;
  readonly line1: string;
  readonly line2?: string | undefined;
  readonly city: string;
  readonly postalCode: string;
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
}

export type ScreeningResult =
  | { readonly verdict: 'approve' }
  | { readonly verdict: 'review'; readonly reason: string }
  | { readonly verdict: 'reject'; readonly reason: string };

export interface Screening {
  /** Judges the order by the risk rules; `review` also moves the order to `in_review`. */
  screen(step: StepRef): Promise<ScreeningResult>;
}

export interface PlannedFulfillment {
  readonly id: string;
  readonly location: string;
  /** This fulfillment's share of the order's total; the shares add up exactly. */
  readonly amountMinor: number;
}

export type ReservationResult =
  | { readonly outcome: 'reserved'; readonly fulfillments: readonly PlannedFulfillment[] }
  | { readonly outcome: 'out_of_stock'; readonly skus: readonly string[] };

export interface Stock {
  /** All lines or none. Splits over locations only where no single one holds enough. */
  reserve(step: StepRef): Promise<ReservationResult>;
  /**
   * Gives back what `undoes` reserved and was neither dispatched nor released yet; of one fulfillment if named. Where
   * nothing was reserved yet it leaves a tombstone under `undoes`, so that a late attempt reserves nothing.
   */
  release(undo: UndoRef & { readonly fulfillmentId?: string | undefined }): Promise<{ readonly releasedLines: number }>;
}

export interface Orders {
  confirm(step: StepRef): Promise<void>;
  /** The goods left the house: they leave `on_hand` and `reserved`. `at` is the carrier's time (ISO 8601). */
  dispatch(step: StepRef & { readonly fulfillmentId: string; readonly at: string }): Promise<void>;
  deliver(step: StepRef & { readonly fulfillmentId: string; readonly at: string }): Promise<void>;
  /** It will not be sent: pending or booked becomes `cancelled`; one that is cancelled already stays so. */
  cancelFulfillment(step: StepRef & { readonly fulfillmentId: string }): Promise<void>;
  /** Dispatched, but given up by a person: the fulfillment becomes `failed`. */
  failDelivery(step: StepRef & { readonly fulfillmentId: string; readonly reason: string }): Promise<void>;
  /** The cancellation came too late for at least one fulfillment; the order goes on, and says so. */
  withdrawCancellation(step: StepRef & { readonly reason: string }): Promise<void>;
  /**
   * Begins the next generation of a step, as the decision `decisionId` wants it: applies the correction that it carries
   * (token or address), if any, and keeps which generation the step has come to.
   */
  correct(step: StepRef & NextGeneration & { readonly decisionId: string }): Promise<void>;
  /**
   * Makes sure that the decision was recorded as it is, by somebody who was allowed to: its record in the audit log
   * was committed before it. Throws `decision_not_allowed` if not, whoever told the workflow of it.
   */
  checkDecision(decision: RecordedDecision): Promise<void>;
  /** Shows the order as waiting for a person. The attention's id is `attentionId`. */
  openAttention(step: StepRef & Attention): Promise<void>;
  closeAttention(step: StepRef & { readonly attentionId: string; readonly how: AttentionEnd }): Promise<void>;
  /** The order's end. */
  finish(step: StepRef & { readonly status: TerminalStatus; readonly reason: string | null }): Promise<void>;
}

export interface RecordedDecision {
  readonly orderId: string;
  readonly attentionId: string;
  readonly decisionId: string;
  readonly action: DecisionAction;
  readonly auditId: string;
}

/** Which step goes on, and in which generation; kept for a replacement of the workflow. */
export interface NextGeneration {
  /** The step, its fulfillment and what it undoes, as far as it has them: `<step>[:<fulfillment>][:<undoes>]`. */
  readonly slot: string;
  readonly generation: number;
}

export interface Attention {
  readonly attentionId: string;
  readonly step: StepName;
  readonly fulfillmentId?: string | undefined;
  readonly reason: string;
  readonly allowed: readonly DecisionAction[];
}

/** A decision's id, or why nobody needed to decide any more. */
export type AttentionEnd =
  | { readonly by: 'decision'; readonly decisionId: string; readonly action: DecisionAction }
  | { readonly by: 'recovery' }
  | { readonly by: 'cancellation' };
