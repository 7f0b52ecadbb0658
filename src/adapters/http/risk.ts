import { z } from 'zod';
import type { RiskService } from '../../domain/provider-ports.ts';
import { ProviderClient, type ProviderOptions } from './provider-client.ts';

const reason = z.string().regex(/^[a-z0-9_]{1,60}$/);
const assessAnswer = z.union([
  z.object({ verdict: z.literal('approve') }),
  z.object({ verdict: z.literal('review'), reason }),
  z.object({ verdict: z.literal('reject'), reason }),
]);

/** The risk service at `baseUrl`, under its path `/risk`. One try per call; failures as `ProviderClient` says. */
export function httpRiskService(
  baseUrl: string,
  options: ProviderOptions = {},
): RiskService & { close(): Promise<void> } {
  const client = new ProviderClient('risk service', baseUrl, options);
  return {
    close: () => client.close(),
    async assess(key, { orderId, amountMinor, currency, customerOrders }, attempt) {
      const body = { orderId, amountMinor, currency, customerOrders };
      const call = { method: 'POST', path: '/risk/assessments', key, body, answer: assessAnswer } as const;
      const assessment = await client.call(call, attempt);
      // Marked as theirs: our own reasons are counted by their names.
      return assessment.verdict === 'approve' ? assessment : { ...assessment, reason: `risk_${assessment.reason}` };
    },
  };
}
