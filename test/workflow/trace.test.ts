import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { newTraceparent, parseTraceparent, withTraceparent } from '../../src/telemetry/trace-context.ts';
import type { Tracing } from '../../src/telemetry/spans.ts';
import { startTracing } from '../../src/telemetry/tracing.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { traceText } from '../support/trace-text.ts';
import { waitFor } from '../support/wait.ts';
import { DAY_MS, Shop, type Story } from '../support/workflow.ts';
import { before } from '../support/world.ts';

/**
 * The test server forgets the headers of signals, as if Temporal's command line had sent them. What these do is tested
 * on a real one (test/e2e/trace.test.ts), and by itself (test/unit/trace-carrier.test.ts).
 */
let receiver: OtlpReceiver;
let tracing: Tracing;
let shop: Shop;

beforeAll(async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  receiver = await startOtlpReceiver();
  tracing = startTracing({
    endpoint: receiver.endpoint,
    ratio: 1,
    service: 'evenkeel-test',
    version: '0',
    sendEveryMs: 100,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  // Each workflow task replays all before it: nothing may depend on what a worker happens to remember.
  shop = await Shop.open(inject('testServerPath'), { tracing, cachedWorkflows: 0 });
});
afterAll(async () => {
  await shop.close();
  await tracing.stop();
  await receiver.close();
  vi.restoreAllMocks();
});

/** Does `work` as the API does within a request, and resolves with that request's trace. */
async function within(work: () => Promise<unknown>): Promise<{ readonly traceId: string; readonly spanId: string }> {
  const traceparent = newTraceparent();
  await withTraceparent(traceparent, work);
  const context = parseTraceparent(traceparent);
  if (context === undefined) throw new Error('a traceparent of our own cannot be read');
  return context;
}

/** The spans of what the workflow was told and did, once these are among them. */
async function recorded(workflowId: string, ...names: readonly string[]): Promise<ReceivedSpan[]> {
  const all = (): ReceivedSpan[] =>
    receiver.spans
      .filter(({ attributes }) => attributes['evenkeel.workflow.id'] === workflowId)
      .toSorted((one, other) => Number(one.startedAt - other.startedAt));
  return waitFor(
    `${workflowId} has ${names.join(' and ')}`,
    () => (names.every((name) => all().some(named(name))) ? all() : undefined),
    30_000,
    () => traceText(all()),
  );
}

const named =
  (name: string) =>
  (span: ReceivedSpan): boolean =>
    span.name === name;

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const [span, ...others] = spans.filter(named(name));
  if (span === undefined || others.length > 0) throw new Error(`not one ${name} in:\n${traceText(spans)}`);
  return span;
}

const below = (spans: readonly ReceivedSpan[], { spanId }: ReceivedSpan): string[] =>
  spans.filter(({ parentId }) => parentId === spanId).map(({ name }) => name);
const linkTo = ({ traceId, spanId }: ReceivedSpan) => [{ traceId, spanId }];

describe("an order's activities", () => {
  test('belong to the request that it came by', async () => {
    let story: Story | undefined;
    const request = await within(async () => (story = await shop.begin()));
    if (story === undefined) throw new Error('no story');
    await story.booked();
    await story.cancel();
    await story.end();
    const spans = await recorded(story.handle.workflowId, 'activity finish');
    const start = only(spans, 'start order');
    expect([start.traceId, start.parentId, start.kind]).toEqual([request.traceId, request.spanId, 'CLIENT']);
    expect(below(spans, start)).toEqual([
      'activity screen',
      'activity reserve',
      'activity authorize',
      'activity confirm',
      'activity book',
    ]);
  });

  test('are recorded once an attempt, with its number and place, however often they are replayed', async () => {
    const story = await shop.begin({ given: (world) => world.script('authorize', before(), before()) });
    await story.carry();
    await story.end();
    const spans = await recorded(story.handle.workflowId, 'activity finish');
    const attempts = spans.filter(named('activity authorize')).map(({ attributes, parentId, status }) => ({
      local: attributes['evenkeel.activity.local'],
      attempt: attributes['evenkeel.activity.attempt'],
      key: attributes['evenkeel.step.key'],
      status: status.message,
      outcome: attributes['evenkeel.outcome'],
      parentId,
    }));
    const key = `order-${story.world.orderId}:authorize:1`;
    const parentId = only(spans, 'start order').spanId;
    expect(attempts).toEqual([
      { local: true, attempt: 1, key, status: 'provider_unavailable', outcome: undefined, parentId },
      { local: false, attempt: 1, key, status: 'provider_unavailable', outcome: undefined, parentId },
      { local: false, attempt: 2, key, status: '', outcome: 'authorized', parentId },
    ]);
    expect(spans.filter(({ name }) => name.startsWith('activity')).length).toBe(story.world.calls.length);
  });

  test('stay in the trace over a wait that a provider asked for', async () => {
    const story = await shop.begin({
      given: (world) => world.script('authorize', before('provider_rate_limited', 60_000)),
    });
    await story.passUntil('it is authorized', 30_000, () => story.world.happened('authorized') === 1);
    await story.carry();
    await story.end();
    const spans = await recorded(story.handle.workflowId, 'activity finish');
    expect(below(spans, only(spans, 'start order')).filter((name) => name === 'activity authorize')).toHaveLength(2);
    expect(below(spans, only(spans, 'start order'))).toContain('activity book');
  });

  test('after days of waiting begin traces of their own, linked to the first, until a person decides', async () => {
    const story = await shop.begin();
    await story.booked();
    await story.pass(31 * DAY_MS);
    const { attentionId } = await story.parked('await_dispatch');
    const decision = await within(() => story.decide(attentionId, 'cancel'));
    await story.end();
    // Its answer comes after the steps that its workflow task did.
    const spans = await recorded(story.handle.workflowId, 'activity finish', 'update decide');
    const opened = only(spans, 'activity openAttention');
    expect([opened.parentId, opened.links]).toEqual([undefined, linkTo(only(spans, 'start order'))]);
    const decided = only(spans, 'update decide');
    expect([decided.traceId, decided.parentId]).toEqual([decision.traceId, decision.spanId]);
    expect(below(spans, decided)).toEqual([
      'activity checkDecision',
      'activity closeAttention',
      'activity undoBook',
      'activity cancelFulfillment',
      'activity undoAuthorize',
      'activity release',
      'activity finish',
    ]);
  });

  test('whose signal brought no context begin traces of their own', async () => {
    const story = await shop.begin();
    await story.carry();
    await story.end();
    const spans = await recorded(story.handle.workflowId, 'activity finish');
    for (const name of ['activity dispatch', 'activity capture', 'activity deliver', 'activity finish']) {
      const { links, parentId } = only(spans, name);
      expect([name, parentId, links]).toEqual([name, undefined, linkTo(only(spans, 'start order'))]);
    }
  });
});
