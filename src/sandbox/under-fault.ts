import type { Fault } from './faults.ts';
import { type Exchange, noAnswer } from './http.ts';
import { Problem } from './problem.ts';

/** Serves a call as the fault wants it; see `faultBody` for the kinds. */
export async function underFault(
  fault: Fault | undefined,
  { response }: Exchange,
  serve: () => Promise<unknown>,
): Promise<unknown> {
  if (!fault) return serve();
  const latencyMs = fault.latencyMs ?? 0;
  switch (fault.kind) {
    case 'latency':
      await after(latencyMs);
      return serve();
    case 'error':
      await after(latencyMs);
      throw new Problem(fault.status ?? 503, 'fault', `scripted by ${fault.id}`, fault.retryAfterSeconds);
    case 'rate_limit':
      throw new Problem(429, 'rate_limited', `scripted by ${fault.id}`, fault.retryAfterSeconds ?? 1);
    case 'reset':
      response.socket?.resetAndDestroy();
      return noAnswer;
    case 'timeout':
      return noAnswer;
    case 'timeout_after_effect':
      await serve();
      return noAnswer;
    case 'delay_effect':
      await after(latencyMs);
      await serve();
      return noAnswer;
    case 'lie':
      await serve();
      return { outcome: 'perhaps', verdict: 'perhaps', result: 'perhaps', amountMinor: -1 };
    default:
      return fault.kind satisfies never;
  }
}

async function after(delayMs: number): Promise<void> {
  // Unreferenced: a scripted delay holds nobody back who wants to stop.
  await new Promise<void>((resolve) => setTimeout(resolve, delayMs).unref());
}
