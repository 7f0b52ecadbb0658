export type PaymentOperation = 'authorize' | 'capture' | 'void' | 'refund';

/**
 * One line of the append-only payment ledger. `request` is committed before the provider is called; `success` and
 * `failure` (refused, or found never to have happened) are outcomes. A key has at most one outcome of the provider.
 */
export interface PaymentEntry {
  readonly key: string;
  readonly operation: PaymentOperation;
  readonly phase: 'request' | 'success' | 'failure';
  readonly amountMinor: number;
  /** Of a failure: the provider's reason, or `never_happened`, which a late answer of the provider may still follow. */
  readonly code?: string | null;
}

export type PaymentStatus =
  | 'none'
  | 'unknown'
  | 'declined'
  | 'authorized'
  | 'partially_captured'
  | 'captured'
  | 'voided'
  | 'partially_refunded'
  | 'refunded';

export interface PaymentView {
  readonly status: PaymentStatus;
  readonly authorizedMinor: number;
  readonly capturedMinor: number;
  readonly refundedMinor: number;
}

/**
 * Derives an order's payment from its ledger, whatever the order of the entries. A request without an outcome makes it
 * `unknown`: nobody may guess, the provider is asked.
 */
export function derivePayment(entries: readonly PaymentEntry[]): PaymentView {
  const settled = new Set(entries.filter((entry) => entry.phase !== 'request').map((entry) => entry.key));
  const succeeded = (operation: PaymentOperation): number =>
    entries
      .filter((entry) => entry.phase === 'success' && entry.operation === operation)
      .reduce((total, entry) => total + entry.amountMinor, 0);
  const amounts = {
    authorizedMinor: succeeded('authorize'),
    capturedMinor: succeeded('capture'),
    refundedMinor: succeeded('refund'),
  };
  const unknown = entries.some((entry) => entry.phase === 'request' && !settled.has(entry.key));
  const declined = entries.some(
    (entry) => entry.phase === 'failure' && entry.operation === 'authorize' && entry.code !== 'never_happened',
  );
  return { status: unknown ? 'unknown' : statusOf(amounts, succeeded('void'), declined), ...amounts };
}

function statusOf(amounts: Omit<PaymentView, 'status'>, voidedMinor: number, declined: boolean): PaymentStatus {
  const { authorizedMinor, capturedMinor, refundedMinor } = amounts;
  if (refundedMinor > 0) return refundedMinor >= capturedMinor ? 'refunded' : 'partially_refunded';
  if (capturedMinor > 0) return capturedMinor >= authorizedMinor ? 'captured' : 'partially_captured';
  // An authorization that landed late and was voided leaves the one that is in use.
  if (authorizedMinor > 0) return voidedMinor >= authorizedMinor ? 'voided' : 'authorized';
  return declined ? 'declined' : 'none';
}
