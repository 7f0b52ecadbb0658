import { z } from 'zod';
import type { Quotes } from '../../domain/provider-ports.ts';
import { ProviderClient, type ProviderOptions } from './provider-client.ts';

const refused = z.object({ outcome: z.literal('refused'), reason: z.string().min(1) });

/** Quotes of the carrier at `baseUrl`, under its path `/carrier`. One try per call; failures as `ProviderClient` says. */
export function httpQuotes(baseUrl: string, options: ProviderOptions = {}): Quotes & { close(): Promise<void> } {
  const client = new ProviderClient("carrier's quotes", baseUrl, options);
  return {
    close: () => client.close(),
    async quote({ country, currency, items }, attempt) {
      const quoted = z.object({
        outcome: z.literal('quoted'),
        amountMinor: z.int().min(0),
        // In another one it would be a number without a meaning.
        currency: z.literal(currency),
      });
      const answer = z.union([quoted, refused]);
      const body = { country, currency, items };
      const outcome = await client.call({ method: 'POST', path: '/carrier/quotes', body, answer }, attempt);
      return outcome.outcome === 'quoted' ? { outcome: 'quoted', amountMinor: outcome.amountMinor } : outcome;
    },
  };
}
