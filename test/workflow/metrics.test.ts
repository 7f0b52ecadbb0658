import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { workflowIdOf } from '../../src/domain/steps.ts';
import { type Metrics, createMetrics } from '../../src/telemetry/metrics.ts';
import { beginTrouble, tellOfProbes, troublePolicy } from '../support/delivery-stories.ts';
import { type HistoryCounts, countHistories } from '../support/history-counts.ts';
import { MemoryConsumer } from '../support/memory-consumer.ts';
import { countsOf } from '../support/metric-values.ts';
import { type BeginOptions, Shop, type Story } from '../support/workflow.ts';
import { before, refused } from '../support/world.ts';

const DAYS_31 = 31 * 24 * 3_600_000;

let metrics: Metrics;
let shop: Shop;

async function open(cachedWorkflows: number): Promise<void> {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  metrics = createMetrics(['process']);
  shop = await Shop.open(inject('testServerPath'), { metrics, cachedWorkflows });
}

async function close(): Promise<void> {
  vi.restoreAllMocks();
  await shop.close();
}

/** A review that a person approves, and a payment that is durable on trouble. */
async function reviewedAndDelivered(): Promise<Story> {
  const story = await begin({
    verdict: { verdict: 'review', reason: 'total_above_limit' },
    given: (world) => world.script('authorize', before(), before(), before()),
  });
  await story.decide((await story.parked('screen')).attentionId, 'approve');
  await story.carry();
  expect((await story.end()).status).toBe('completed');
  return story;
}

/** All is given back, the payment only after a refusal. */
async function cancelled(): Promise<Story> {
  const story = await begin({ given: (world) => world.script('undoAuthorize', refused('settled')) });
  await story.until('booked 1');
  await story.cancel();
  await story.decide((await story.parked('void')).attentionId, 'retry');
  expect((await story.end()).status).toBe('cancelled');
  return story;
}

/** Charged, left the house, and lost. */
async function refunded(): Promise<Story> {
  const story = await begin();
  await story.booked();
  await story.dispatched();
  await story.until('captured 1');
  await story.pass(DAYS_31);
  await story.decide((await story.parked('await_delivery')).attentionId, 'cancel');
  await story.end();
  return story;
}

function begin(options: BeginOptions = {}): Promise<Story> {
  return shop.begin(options);
}

/** A consumer that does not answer, until it is given up. Resolves with its workflow's id. */
async function givenUp(giveUpMs: number): Promise<string> {
  const story = await beginTrouble(shop, new MemoryConsumer(), { policy: { ...troublePolicy, giveUpMs } });
  expect((await story.end()).status).toBe('given_up');
  return story.handle.workflowId;
}

/** What the histories say of all runs: where one went on as a new one, of that too. */
async function historyOf(workflowIds: readonly string[]): Promise<HistoryCounts> {
  const { workflow } = shop.env.client;
  const histories = [];
  for (const workflowId of workflowIds) {
    const latest = await workflow.getHandle(workflowId).fetchHistory();
    let runId = latest.events?.[0]?.workflowExecutionStartedEventAttributes?.firstExecutionRunId;
    while (runId) {
      const history = await workflow.getHandle(workflowId, runId).fetchHistory();
      histories.push(history);
      runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
    }
  }
  return countHistories(histories);
}

/** Whatever was counted on replay would be counted many times: the histories are the independent count. */
describe('where every workflow task replays all that was', () => {
  let said: HistoryCounts;
  beforeAll(async () => {
    await open(0);
    tellOfProbes(shop);
    const stories = [await reviewedAndDelivered(), await cancelled(), await refunded()];
    const trouble = await givenUp(60_000);
    said = await historyOf([...stories.map(({ world }) => workflowIdOf(world.orderId)), trouble]);
  });
  afterAll(close);

  test('each attempt of an activity is counted once, as the history has it', async () => {
    expect(await countsOf(metrics, 'activityAttempts')).toEqual(said.attempts);
    expect(said.attempts).toMatchObject({
      'activity=authorize,local=true,outcome=failed': 1,
      'activity=authorize,local=false,outcome=failed': 2,
      'activity=authorize,local=false,outcome=completed': 1,
    });
  });

  test('each attempt is timed once', async () => {
    expect(sum(await countsOf(metrics, 'activitySeconds'))).toBe(sum(said.attempts));
  });

  test('each workflow began once and ended once', async () => {
    expect(await countsOf(metrics, 'workflowsStarted')).toEqual(said.started);
    expect(await countsOf(metrics, 'workflowsClosed')).toEqual(said.closed);
    expect(said.closed).toEqual({ 'outcome=completed,workflow=order': 3, 'outcome=completed,workflow=consumer': 1 });
  });

  test('each signal and each update was heard once', async () => {
    expect(await countsOf(metrics, 'workflowMessages')).toEqual(said.told);
    const heard = ['message=cancel', 'message=carrier', 'message=decide', 'message=news'];
    expect(Object.keys(said.told).toSorted()).toEqual(heard);
  });

  test('what was given back is counted by what it was, and what was refused is not', async () => {
    expect(await countsOf(metrics, 'compensations')).toEqual({
      'step=release': 1,
      'step=void': 1,
      'step=cancel_shipment': 1,
      'step=refund': 1,
    });
  });
});

describe('where workflows are kept between their tasks', () => {
  beforeAll(() => open(100));
  afterAll(close);

  test('a run that goes on as a new one has ended, and the new one has begun', async () => {
    const said = await historyOf([await givenUp(2 * 3_600_000)]);
    expect(await countsOf(metrics, 'workflowsClosed')).toEqual(said.closed);
    expect(await countsOf(metrics, 'workflowsStarted')).toEqual(said.started);
    expect(said.closed).toMatchObject({ 'outcome=continued,workflow=consumer': 1 });
    expect(await countsOf(metrics, 'activityAttempts')).toEqual(said.attempts);
  });
});

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}
