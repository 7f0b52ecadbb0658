import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Effect, EffectOf, Result } from './facts.ts';
import { Problem } from './problem.ts';

const text = z.string().min(1).max(200);
const money = {
  orderId: text,
  amountMinor: z.int().positive(),
  currency: z.string().regex(/^[A-Z]{3}$/, 'an ISO 4217 code such as GBP'),
};
/** The bodies that the gateway accepts. */
export const paymentBodies = {
  authorize: z.object({ ...money, token: text }),
  capture: z.object({ ...money, authorizationId: text }),
  void: z.object({ ...money, authorizationId: text }),
  refund: z.object({ ...money, captureId: text }),
};
type Body<K extends keyof typeof paymentBodies> = z.infer<(typeof paymentBodies)[K]>;

type Card = { declines: string } | { refuses: 'capture' | 'void' | 'refund' | null };
const cards: Readonly<Record<string, Card>> = {
  tok_visa: { refuses: null },
  tok_mastercard: { refuses: null },
  tok_timeout_after_effect: { refuses: null },
  tok_flaky_3: { refuses: null },
  tok_declined: { declines: 'card_declined' },
  tok_insufficient_funds: { declines: 'insufficient_funds' },
  tok_expired_card: { declines: 'expired_card' },
  tok_capture_refused: { refuses: 'capture' },
  tok_void_refused: { refuses: 'void' },
  tok_refund_refused: { refuses: 'refund' },
};

interface Authorization extends EffectOf<'authorization'> {
  capturedMinor: number;
  voided: boolean;
}
interface Capture extends EffectOf<'capture'> {
  refundedMinor: number;
}

/** An effect without what every effect gets from its request's frame. */
type Draft<K extends Effect['kind']> = Omit<EffectOf<K>, 'key' | 'at' | 'orderId'>;
export interface PaymentDecision {
  readonly result: Result;
  readonly effect: Draft<'authorization'> | Draft<'capture'> | Draft<'void'> | Draft<'refund'> | null;
}

/** The rules of a card gateway over what it authorized and captured so far. `decide*` changes nothing, `apply` does. */
export class Payments {
  readonly #authorizations = new Map<string, Authorization>();
  readonly #captures = new Map<string, Capture>();

  apply(effect: Effect): void {
    switch (effect.kind) {
      case 'authorization':
        this.#authorizations.set(effect.authorizationId, { ...effect, capturedMinor: 0, voided: false });
        break;
      case 'capture':
        this.#authorization(effect.authorizationId).capturedMinor += effect.amountMinor;
        this.#captures.set(effect.captureId, { ...effect, refundedMinor: 0 });
        break;
      case 'void':
        this.#authorization(effect.authorizationId).voided = true;
        break;
      case 'refund':
        this.#capture(effect.captureId).refundedMinor += effect.amountMinor;
        break;
      case 'shipment':
      case 'cancellation':
        break;
      default:
        effect satisfies never;
    }
  }

  authorize({ token, amountMinor, currency }: Body<'authorize'>): PaymentDecision {
    const card = Object.hasOwn(cards, token) ? cards[token] : undefined;
    if (!card) {
      const known = Object.keys(cards).join(', ');
      throw new Problem(400, 'invalid_token', `/token: '${token}' is no card here; use one of ${known}`);
    }
    if ('declines' in card) return { result: { outcome: 'declined', reason: card.declines }, effect: null };
    const authorizationId = newId('auth');
    return {
      result: { outcome: 'authorized', authorizationId },
      effect: { kind: 'authorization', authorizationId, refuses: card.refuses, amountMinor, currency },
    };
  }

  capture({ orderId, authorizationId, amountMinor, currency }: Body<'capture'>): PaymentDecision {
    const authorization = this.#authorization(authorizationId);
    matches(authorization, { orderId, currency });
    if (authorization.refuses === 'capture') return refused('card_refused_capture');
    if (authorization.voided) return refused('authorization_voided');
    if (authorization.capturedMinor + amountMinor > authorization.amountMinor) return refused('exceeds_authorization');
    const captureId = newId('cap');
    return {
      result: { outcome: 'captured', captureId },
      effect: { kind: 'capture', captureId, authorizationId, amountMinor, currency },
    };
  }

  /** Releases all that is left uncaptured, whatever amount the request names. */
  void({ orderId, authorizationId, currency }: Body<'void'>): PaymentDecision {
    const authorization = this.#authorization(authorizationId);
    matches(authorization, { orderId, currency });
    if (authorization.voided) return { result: { outcome: 'voided' }, effect: null };
    if (authorization.refuses === 'void') return refused('card_refused_void');
    const amountMinor = authorization.amountMinor - authorization.capturedMinor;
    if (amountMinor === 0) return refused('nothing_to_void');
    return { result: { outcome: 'voided' }, effect: { kind: 'void', authorizationId, amountMinor, currency } };
  }

  refund({ orderId, captureId, amountMinor, currency }: Body<'refund'>): PaymentDecision {
    const capture = this.#capture(captureId);
    matches(capture, { orderId, currency });
    if (this.#authorization(capture.authorizationId).refuses === 'refund') return refused('card_refused_refund');
    if (capture.refundedMinor + amountMinor > capture.amountMinor) return refused('exceeds_capture');
    const refundId = newId('ref');
    return {
      result: { outcome: 'refunded', refundId },
      effect: { kind: 'refund', refundId, captureId, amountMinor, currency },
    };
  }

  #authorization(id: string): Authorization {
    const found = this.#authorizations.get(id);
    if (!found) throw new Problem(404, 'unknown_authorization', `/authorizationId: there is no '${id}'`);
    return found;
  }

  #capture(id: string): Capture {
    const found = this.#captures.get(id);
    if (!found) throw new Problem(404, 'unknown_capture', `/captureId: there is no '${id}'`);
    return found;
  }
}

/** A request that mixes up orders or currencies is a mistake of the caller's program, not of the business. */
function matches(
  held: { orderId: string; currency: string },
  { orderId, currency }: { orderId: string; currency: string },
): void {
  if (held.orderId !== orderId) {
    throw new Problem(400, 'wrong_order', `/orderId: it belongs to order '${held.orderId}', not '${orderId}'`);
  }
  if (held.currency !== currency) {
    throw new Problem(400, 'wrong_currency', `/currency: it is in ${held.currency}, not ${currency}`);
  }
}

function refused(reason: string): PaymentDecision {
  return { result: { outcome: 'refused', reason }, effect: null };
}

function newId(prefix: string): string {
  return `${prefix}_${randomBytes(8).toString('hex')}`;
}
