/** Consumers that go away and come back, and relays that die on the way. */
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { consumerOf, deleteConsumers, settled } from '../support/deliveries.ts';
import { useStack } from '../support/stack.ts';
import type { Behavior, TestConsumer } from '../support/test-consumer.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack(() => ({
  env: { EVENKEEL_DELIVERY_TIMEOUT_MS: '1000', EVENKEEL_DELIVERY_BACKOFF_MS: '100' },
}));

afterEach(() => deleteConsumers(stack()));

const consumer = (behave?: Behavior, body?: Readonly<Record<string, unknown>>): Promise<TestConsumer> =>
  consumerOf(stack(), behave, body);

interface Health {
  readonly state: string;
  readonly stateReason: string | null;
  readonly health: { readonly mode: string; readonly backlog: number; readonly deadLetters: number };
}

async function healthOf({ id }: TestConsumer): Promise<Health> {
  return (await stack().request('GET', `/v1/consumers/${id}`)).json as Health;
}

async function mode(of: TestConsumer, wanted: string): Promise<void> {
  const look = async () => (await healthOf(of)).health.mode;
  await waitFor(
    `its mode is ${wanted}`,
    async () => (await look()) === wanted,
    undefined,
    () => healthOf(of),
  );
}

async function workflowStatus({ id }: TestConsumer): Promise<string> {
  const client = await stack().client();
  return (await client.workflow.getHandle(`consumer-${id}`).describe()).status.name;
}

test('a consumer that is away gets all that it missed when it is back, and nothing of it is dead', async () => {
  const away = await consumer();
  await away.down();
  const ids = await stack().submit(25);
  await mode(away, 'probing');
  await stack().ended(ids);
  expect((await healthOf(away)).health).toMatchObject({ deadLetters: 0 });
  expect(
    await waitFor('its workflow runs', async () => (await workflowStatus(away).catch(() => '')) === 'RUNNING'),
  ).toBe(true);
  await away.up();
  await settled(stack(), [away.id]);
  await mode(away, 'normal');
  await waitFor('its workflow has ended', async () => (await workflowStatus(away)) === 'COMPLETED');
  const events = await stack().sql('select 1 from events where order_id = any($1)', [ids]);
  expect(new Set(away.accepted.map(({ eventId }) => eventId)).size).toBe(events.length);
  for (const receipts of Map.groupBy(away.accepted, ({ subject }) => subject).values()) {
    const sequences = receipts.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
  }
});

test('a workflow of trouble that is terminated by hand is there again, and the consumer comes back all the same', async () => {
  let works = false;
  const broken = await consumer(() => (works ? 204 : 500));
  await stack().submit(5);
  await mode(broken, 'probing');
  const client = await stack().client();
  const handle = client.workflow.getHandle(`consumer-${broken.id}`);
  const first = await waitFor('its workflow runs', async () =>
    handle.describe().then(
      ({ runId, status }) => (status.name === 'RUNNING' ? runId : undefined),
      () => undefined,
    ),
  );
  await client.workflow.getHandle(`consumer-${broken.id}`, first).terminate('by hand');
  await waitFor('another one runs', async () => {
    const { runId, status } = await handle.describe();
    return status.name === 'RUNNING' && runId !== first;
  });
  works = true;
  await settled(stack(), [broken.id]);
  await mode(broken, 'normal');
  expect((await healthOf(broken)).health).toMatchObject({ backlog: 0, deadLetters: 0 });
});

test('one that answers 410 is sent nothing more, keeps what it has not got, and gets it when it is enabled again', async () => {
  let isGone = true;
  const leaver = await consumer(() => (isGone ? 410 : 204), { maxInFlight: 1 });
  const ids = await stack().submit(5);
  await waitFor('it is disabled', async () => (await healthOf(leaver)).state === 'disabled');
  await stack().ended(ids);
  expect(await healthOf(leaver)).toMatchObject({ stateReason: expect.stringContaining('410') as string });
  expect(leaver.receipts).toHaveLength(1);
  isGone = false;
  await stack().request('PATCH', `/v1/consumers/${leaver.id}`, { enabled: true, reason: 'it is back' });
  await settled(stack(), [leaver.id]);
  const events = await stack().sql('select 1 from events where order_id = any($1)', [ids]);
  expect(leaver.accepted).toHaveLength(events.length);
});

test('one that is paused while it is healthy gets nothing until it is resumed, and then all, in order', async () => {
  const resting = await consumer();
  await stack().request('POST', `/v1/consumers/${resting.id}/pause`, { reason: 'maintenance', actor: 'ada' });
  const ids = await stack().submit(5);
  await stack().ended(ids);
  expect(resting.receipts).toEqual([]);
  expect(await healthOf(resting)).toMatchObject({
    state: 'paused',
    stateReason: 'maintenance',
    health: { mode: 'normal' },
  });
  await stack().request('POST', `/v1/consumers/${resting.id}/resume`, {});
  await settled(stack(), [resting.id]);
  const events = await stack().sql('select 1 from events where order_id = any($1)', [ids]);
  expect(resting.accepted).toHaveLength(events.length);
});

test('a relay that is killed with deliveries under way loses none: another sends them when its leases end', async () => {
  const patient = await consumer(() => 'hang', { maxInFlight: 4 });
  const second = stack().program(['worker']);
  await second.start('evenkeel worker runs');
  onTestFinished(() => second.end('SIGKILL').then(() => undefined));
  const submitting = stack().submit(10);
  await waitFor('some are under way', () => patient.receipts.length >= 2);
  await stack().worker.end('SIGKILL');
  patient.behave = () => 204;
  const ids = await submitting;
  await stack().ended(ids);
  await settled(stack(), [patient.id], 120_000);
  const events = await stack().sql('select 1 from events where order_id = any($1)', [ids]);
  expect(new Set(patient.accepted.map(({ eventId }) => eventId)).size).toBe(events.length);
  await stack().startWorker();
});
