import { DomainFailure } from './failures.ts';
import type { QuoteRequest, Quotes } from './provider-ports.ts';
import type { Attempt } from './step-ports.ts';

/** What a rate is remembered by. */
export interface RateKey {
  readonly country: string;
  readonly currency: string;
  /** Pieces in all. */
  readonly items: number;
}

export interface Rate {
  readonly amountMinor: number;
  /** ISO 8601, by the store's clock. */
  readonly quotedAt: string;
}

/** The last rates that the carrier quoted. */
export interface ShippingRates {
  remember(key: RateKey, amountMinor: number): Promise<Rate>;
  /** Undefined if there is none, or none that is younger than `olderThanMs`. */
  lastKnown(key: RateKey, olderThanMs: number): Promise<Rate | undefined>;
  /** Forgets what is older. */
  prune(olderThanMs: number): Promise<void>;
}

export interface ShippingQuote extends Rate {
  readonly currency: string;
  /** `last_known`: the carrier could not be asked, and this is what it asked for before. */
  readonly source: 'carrier' | 'last_known';
}

export interface ShippingQuotes {
  /**
   * Throws `invalid_input` where the carrier does not go, and `provider_unavailable` while it cannot be asked and nothing
   * is known of so many pieces to that country within 30 days.
   */
  quote(request: QuoteRequest, attempt: Attempt): Promise<ShippingQuote>;
}

/** A rate that is older says nothing about what the carrier would ask for now. */
export const RATE_LASTS_MS = 30 * 24 * 3_600_000;
/** Where the carrier did not say when to ask again. */
const ASK_AGAIN_MS = 10_000;

/**
 * Quotes of the carrier, and while it does not answer, or not as its contract says, the last that are known. `fellBack`
 * is told of each that is an old one; it must not throw.
 */
export function rememberedQuotes(
  quotes: Quotes,
  rates: ShippingRates,
  fellBack: () => void = () => undefined,
): ShippingQuotes {
  return {
    async quote(request, attempt) {
      const { country, currency } = request;
      const key = { country, currency, items: request.items.reduce((sum, { quantity }) => sum + quantity, 0) };
      const asked = await quotes.quote(request, attempt).catch(domainFailure);
      if (asked instanceof DomainFailure) {
        const known = await rates.lastKnown(key, RATE_LASTS_MS);
        if (known === undefined) throw unknown(key, asked);
        fellBack();
        return { ...known, currency, source: 'last_known' };
      }
      if (asked.outcome === 'refused') throw notServed(country, asked.reason);
      return { ...(await rates.remember(key, asked.amountMinor)), currency, source: 'carrier' };
    },
  };
}

function domainFailure(error: unknown): DomainFailure {
  if (error instanceof DomainFailure) return error;
  throw error;
}

function unknown({ country, items }: RateKey, cause: DomainFailure): DomainFailure {
  const { retryAfterMs = ASK_AGAIN_MS } = cause;
  const detail = `The carrier cannot be asked now, and it quoted nothing for ${items} pieces to ${country} within 30 days.`;
  return new DomainFailure('provider_unavailable', `${detail} Try again later.`, { cause, retryAfterMs });
}

function notServed(country: string, reason: string): DomainFailure {
  const detail = `the carrier does not send this to ${country}: ${reason}`;
  return new DomainFailure('invalid_input', detail, { errors: [{ pointer: '/country', detail }] });
}
