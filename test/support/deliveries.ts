import { onTestFinished } from 'vitest';
import type { Stack } from './stack.ts';
import { type Behavior, startTestConsumer, type TestConsumer } from './test-consumer.ts';
import { waitFor } from './wait.ts';

/** A consumer of the stack's, of everything unless `body` says otherwise; it listens until the test is over. */
export async function consumerOf(
  stack: Stack,
  behave?: Behavior,
  body?: Readonly<Record<string, unknown>>,
): Promise<TestConsumer> {
  const made = await startTestConsumer(behave);
  onTestFinished(() => made.close());
  await made.register(stack, body);
  return made;
}

/** Resolves once nothing is pending at these consumers. */
export async function settled(stack: Stack, consumerIds: readonly string[], deadlineMs?: number): Promise<void> {
  const pending = () =>
    stack.sql(
      `select d.id, d.consumer_id, d.order_id, d.sequence, d.attempts, d.strikes, d.last_error, h.mode
       from deliveries d join consumer_health h using (consumer_id)
       where d.status = 'pending' and d.consumer_id = any($1) order by d.id limit 5`,
      [consumerIds],
    );
  await waitFor('nothing is pending', async () => (await pending()).length === 0, deadlineMs, pending);
}

/** So that a test's consumers get nothing of the next one's. */
export async function deleteConsumers(stack: Stack): Promise<void> {
  const reply = await stack.request('GET', '/v1/consumers?limit=200');
  const { data } = reply.json as { data: readonly { id: string }[] };
  for (const { id } of data) {
    const { status, text } = await stack.request('DELETE', `/v1/consumers/${id}`);
    if (status !== 204) throw new Error(`DELETE /v1/consumers/${id}: ${status} ${text}`);
  }
}
