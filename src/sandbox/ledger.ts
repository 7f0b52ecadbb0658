import { type Effect, type EffectKind, effectKinds } from './facts.ts';

/** How often each thing happened to one order, and with how much money (minor units) in all. */
export interface OrderSummary {
  readonly orderId: string;
  authorizations: number;
  captures: number;
  voids: number;
  refunds: number;
  shipments: number;
  cancellations: number;
  authorizedMinor: number;
  capturedMinor: number;
  voidedMinor: number;
  refundedMinor: number;
}

const columns = {
  authorization: ['authorizations', 'authorizedMinor'],
  capture: ['captures', 'capturedMinor'],
  void: ['voids', 'voidedMinor'],
  refund: ['refunds', 'refundedMinor'],
  shipment: ['shipments', null],
  cancellation: ['cancellations', null],
} as const satisfies Record<EffectKind, readonly [keyof OrderSummary, keyof OrderSummary | null]>;

export function isEffectKind(kind: string): kind is EffectKind {
  return (effectKinds as readonly string[]).includes(kind);
}

/** Counts the effects order by order, in the order of each one's first effect. */
export function summarize(effects: readonly Effect[]): OrderSummary[] {
  const byOrder = new Map<string, OrderSummary>();
  for (const effect of effects) {
    const summary = byOrder.get(effect.orderId) ?? emptySummary(effect.orderId);
    byOrder.set(effect.orderId, summary);
    const [count, amount] = columns[effect.kind];
    summary[count] += 1;
    if (amount !== null && 'amountMinor' in effect) summary[amount] += effect.amountMinor;
  }
  return [...byOrder.values()];
}

function emptySummary(orderId: string): OrderSummary {
  return {
    orderId,
    authorizations: 0,
    captures: 0,
    voids: 0,
    refunds: 0,
    shipments: 0,
    cancellations: 0,
    authorizedMinor: 0,
    capturedMinor: 0,
    voidedMinor: 0,
    refundedMinor: 0,
  };
}
