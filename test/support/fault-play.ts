/** What operators and customers' service do while a provider is in trouble, and what they see. */
import type { BreakerName, BreakerState, BreakerView, ForcedState } from '../../src/domain/breakers.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import type { DecisionAction } from '../../src/domain/steps.ts';
import type { Stack } from './stack.ts';
import { pooled, waitFor } from './wait.ts';

export async function breakerOf(stack: Stack, name: BreakerName): Promise<BreakerView> {
  const { status, json, text } = await stack.request('GET', `/v1/breakers/${name}`);
  if (status !== 200) throw new Error(`GET /v1/breakers/${name}: ${status} ${text}`);
  return json as BreakerView;
}

/** Changes of state so far, as far as the newest 20 tell. */
export async function timesTo(stack: Stack, name: BreakerName, state: BreakerState): Promise<number> {
  return (await breakerOf(stack, name)).transitions.filter(({ to }) => to === state).length;
}

/** Resolves once one of the processes says so. */
export async function whenBreaker(stack: Stack, name: BreakerName, state: BreakerState): Promise<void> {
  const look = async (): Promise<boolean> =>
    (await breakerOf(stack, name)).workers.some((report) => report.state === state);
  await waitFor(`a breaker ${name} is ${state}`, look, 120_000, () => breakerOf(stack, name));
}

/** Resolves once all processes say so. */
export async function whenAllBreakers(stack: Stack, name: BreakerName, state: BreakerState): Promise<void> {
  const look = async (): Promise<boolean> =>
    (await breakerOf(stack, name)).workers.every((report) => report.state === state);
  await waitFor(`all breakers ${name} are ${state}`, look, 120_000, () => breakerOf(stack, name));
}

export async function forceBreaker(
  stack: Stack,
  name: BreakerName,
  body: { readonly state: ForcedState; readonly reason: string },
): Promise<void> {
  const { status, text } = await stack.request('POST', `/v1/breakers/${name}`, body);
  if (status !== 200) throw new Error(`POST /v1/breakers/${name}: ${status} ${text}`);
}

/** Resolves with the orders once all of them wait for a person. */
export async function parked(stack: Stack, ids: readonly string[], deadlineMs?: number): Promise<OrderView[]> {
  return pooled(ids, 4, (id) => stack.when(id, 'parked', ({ attention }) => attention !== null, deadlineMs));
}

export async function decide(stack: Stack, { id, attention }: OrderView, action: DecisionAction): Promise<void> {
  const decision = { attentionId: attention?.id, action, reason: 'the provider is back', actor: 'eve' };
  const { status, text } = await stack.request('POST', `/v1/orders/${id}/decisions`, decision);
  if (status !== 202) throw new Error(`POST /v1/orders/${id}/decisions: ${status} ${text}`);
}

/** From acceptance to confirmation or an early end, of each order that has come so far, in milliseconds, sorted. */
export async function decidedMs(stack: Stack, ids: readonly string[]): Promise<number[]> {
  const rows = await stack.sql<{ ms: number }>(
    `select (extract(epoch from coalesce(confirmed_at, finished_at) - created_at) * 1000)::float8 as ms
     from orders where id = any($1) and coalesce(confirmed_at, finished_at) is not null order by 1`,
    [ids],
  );
  return rows.map(({ ms }) => Math.round(ms));
}

/** Of sorted numbers; undefined where there are none. */
export function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}
