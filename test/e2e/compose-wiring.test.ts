/** The wiring of docker-compose.yml without Docker: its commands, settings, files and order, as plain processes. */
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { isTerminal } from '../../src/domain/order.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { composeFile } from '../support/compose-file.ts';
import { PlainStack } from '../support/compose-plain.ts';
import { localConfiguration, standIns } from '../support/compose-stand-ins.ts';
import { BUILD_TIMEOUT_MS, findTemporalServer } from '../support/compose-tool.ts';
import { prometheusTools } from '../support/prometheus-tools.ts';
import { newKey, newOrder } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

let stack: PlainStack | undefined;
let key = '';

beforeAll(async () => {
  const { path: rabbitmq, problem } = inject('rabbitmqServer');
  if (rabbitmq === null) throw new Error(problem);
  const tools = prometheusTools();
  const programs = {
    temporal: await findTemporalServer(),
    temporalCli: inject('temporalCliPath'),
    rabbitmq,
    prometheus: tools.prometheus,
    alertmanager: tools.alertmanager,
  };
  const made = await PlainStack.create((its) => standIns(its, programs));
  stack = made;
  localConfiguration(made);
  await made.start().catch((error: unknown) => {
    console.log(made.logs());
    throw error;
  });
  const [api] = made.instances('api');
  if (api === undefined) throw new Error('there is no API');
  // As the README says to make the first.
  const words = ['node', 'dist/main.js', 'keys', 'create', '--name', 'test', '--role', 'admin'];
  key = (await made.exec(api, words)).trim();
}, BUILD_TIMEOUT_MS);

afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.log(stack?.logs());
});

afterAll(async () => {
  await stack?.close();
});

function running(): PlainStack {
  if (stack === undefined) throw new Error('the stack is not started');
  return stack;
}

async function send(method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }> {
  const response = await fetch(`http://${running().address('ingress', 8080)}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': newKey() },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, json: await response.json() };
}

/** Submits an order, and resolves with it once the pretend carrier has called back and it is at its end. */
async function submitted(): Promise<OrderView> {
  const id = await waitFor('an order is accepted', async () => {
    const { status, json } = await send('POST', '/v1/orders', newOrder());
    // On a busy machine it may be refused for now.
    if (status === 503) return false;
    expect([status, json]).toMatchObject([202, {}]);
    return (json as OrderView).id;
  });
  const look = async () => (await send('GET', `/v1/orders/${id}`)).json as OrderView;
  await waitFor(`order ${id} is at its end`, async () => isTerminal((await look()).status), 60_000, look);
  return await look();
}

async function onTemporal<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const namespace = composeFile().services['api']?.environment?.['TEMPORAL_NAMESPACE'] ?? '';
  const connection = await Connection.connect({ address: running().address('temporal', 7233) });
  try {
    return await work(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}

test('an order goes to its end, and is found in Temporal by its status', async () => {
  expect(
    (await send('PUT', '/v1/catalog/LANTERN', { description: 'a', priceMinor: 1_000, currency: 'GBP' })).status,
  ).toBe(200);
  expect((await send('PUT', '/v1/stock/LANTERN', { onHand: 100 })).status).toBe(200);
  const { id, status } = await submitted();
  expect(status).toBe('completed');
  // Visibility lies in a database of its own, and is written a moment later.
  await waitFor(`order-${id} is found`, () =>
    onTemporal(async (client) => {
      const { count } = await client.workflow.count(`OrderStatus = 'completed' AND WorkflowId = 'order-${id}'`);
      return count === 1;
    }),
  );
});

test('every dependency answers, RabbitMQ with the password of the secrets among them', async () => {
  expect(await send('GET', '/readyz')).toMatchObject({ status: 200, json: { status: 'ready' } });
});

test('orders are completed by the other worker when one is killed, and by both again', async () => {
  const [first] = running().instances('worker');
  if (first === undefined) throw new Error('there is no worker');
  await running().process(first.name).end('SIGKILL');
  expect(await submitted()).toMatchObject({ status: 'completed' });
  await running().startInstance(first);
  expect(await submitted()).toMatchObject({ status: 'completed' });
});

test('what prepares the stack may run again over what is there', async () => {
  await running().prepare();
  expect(await submitted()).toMatchObject({ status: 'completed' });
});

interface Target {
  readonly labels: { readonly job: string };
  readonly health: string;
  readonly lastError: string;
}

test('Prometheus scrapes every process of every job', async () => {
  const look = async (): Promise<string[]> => {
    const response = await fetch(`http://${running().address('prometheus', 9090)}/api/v1/targets`);
    const { data } = (await response.json()) as { data: { activeTargets: Target[] } };
    return data.activeTargets.map(({ labels, health, lastError }) => `${labels.job}: ${health} ${lastError}`.trim());
  };
  const wanted = [
    'alertmanager: up',
    'evenkeel-api: up',
    'evenkeel-sdk: up',
    'evenkeel-sdk: up',
    'evenkeel-worker: up',
    'evenkeel-worker: up',
    'prometheus: up',
  ];
  await expect.poll(async () => (await look()).toSorted(), { timeout: 30_000 }).toEqual(wanted);
});
