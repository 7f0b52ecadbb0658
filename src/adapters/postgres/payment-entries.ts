import type { PaymentOperation } from '../../domain/payment.ts';
import type { EffectKind, EffectTypes } from '../../domain/provider-ports.ts';
import type { LockedOrder } from './change.ts';
import type { Outcome } from './effect-outcomes.ts';

type PaymentKind = Exclude<EffectKind, 'book' | 'cancel_shipment'>;

/** Enters a payment's request into the ledger; nothing for a shipment. */
export async function enterRequest(
  order: LockedOrder,
  key: string,
  kind: EffectKind,
  input: EffectTypes[EffectKind]['input'],
): Promise<void> {
  if (kind === 'book' || kind === 'cancel_shipment' || !('amountMinor' in input)) return;
  await enter(order, { key, operation: kind, phase: 'request', ...input, providerRef: null, code: null });
}

/** Enters a payment's outcome. `code` tells a refusal's reason, or that it never happened. */
export async function enterOutcome(
  order: LockedOrder,
  key: string,
  kind: PaymentKind,
  input: { readonly amountMinor: number; readonly currency: string },
  outcome: Outcome<PaymentKind>,
): Promise<void> {
  const answer = { key, operation: kind, amountMinor: input.amountMinor, currency: input.currency };
  switch (outcome.outcome) {
    case 'authorized':
      return enter(order, { ...answer, phase: 'success', providerRef: outcome.authorizationId, code: null });
    case 'captured':
      return enter(order, { ...answer, phase: 'success', providerRef: outcome.captureId, code: null });
    case 'voided':
      return enter(order, { ...answer, phase: 'success', providerRef: null, code: null });
    case 'refunded':
      return enter(order, { ...answer, phase: 'success', providerRef: outcome.refundId, code: null });
    case 'declined':
    case 'refused':
      return enter(order, { ...answer, phase: 'failure', providerRef: null, code: outcome.reason });
    case 'never_happened':
      return enter(order, { ...answer, phase: 'failure', providerRef: null, code: 'never_happened' });
    default:
      return outcome satisfies never;
  }
}

async function enter(
  { trx, row, at }: LockedOrder,
  entry: {
    key: string;
    operation: PaymentOperation;
    phase: 'request' | 'success' | 'failure';
    amountMinor: number;
    currency: string;
    providerRef: string | null;
    code: string | null;
  },
): Promise<void> {
  await trx
    .insertInto('payment_entries')
    .values({
      order_id: row.id,
      key: entry.key,
      operation: entry.operation,
      phase: entry.phase,
      amount_minor: entry.amountMinor,
      currency: entry.currency,
      provider_ref: entry.providerRef,
      code: entry.code,
      at,
    })
    .execute();
}
