import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import { noTracing, type Tracing } from '../../src/telemetry/spans.ts';
import {
  currentTraceparent,
  formatTraceparent,
  newTraceparent,
  parseTraceparent,
  withTraceparent,
} from '../../src/telemetry/trace-context.ts';
import { startTracing } from '../../src/telemetry/tracing.ts';
import { closedPort } from '../support/webhook-receiver.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts';

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let receiver: OtlpReceiver;
let tracing: Tracing;

beforeEach(async () => {
  receiver = await startOtlpReceiver();
  tracing = begun();
});
afterEach(async () => {
  await tracing.stop();
  await receiver.close();
});

function begun(options: Partial<Parameters<typeof startTracing>[0]> = {}): Tracing {
  return startTracing({
    endpoint: receiver.endpoint,
    ratio: 1,
    service: 'evenkeel-test',
    version: '1.2.3',
    log: silent,
    sendEveryMs: 100,
    ...options,
  });
}

/** All that was recorded, by name. */
async function recorded(): Promise<Record<string, ReceivedSpan>> {
  await tracing.stop();
  return Object.fromEntries(receiver.spans.map((span) => [span.name, span]));
}

const idsOf = (traceparent: string | undefined) => parseTraceparent(traceparent ?? '');

describe('a span', () => {
  test('is the parent of what is done within it, and of nothing else', async () => {
    await tracing.span('outer', { kind: 'server' }, async () => {
      await Promise.all([
        tracing.span('one', {}, async () => tracing.past('statement', 2, () => ({ kind: 'client' }))),
        tracing.span('two', { kind: 'client' }, async () => undefined),
      ]);
    });
    await tracing.span('other', {}, async () => undefined);
    const { outer, one, two, statement, other } = await recorded();
    expect([outer?.parentId, outer?.kind, other?.parentId]).toEqual([undefined, 'SERVER', undefined]);
    expect([one?.parentId, two?.parentId, statement?.parentId]).toEqual([outer?.spanId, outer?.spanId, one?.spanId]);
    expect(new Set([one, two, statement].map((span) => span?.traceId))).toEqual(new Set([outer?.traceId]));
    expect(other?.traceId).not.toBe(outer?.traceId);
  });

  test('hands its own context to the work, and the former one is current again after it', async () => {
    const around = newTraceparent();
    const seen = await withTraceparent(around, async () => {
      const within = await tracing.span('work', {}, async ({ traceparent }) => [traceparent, currentTraceparent()]);
      return [...within, currentTraceparent()];
    });
    const { work } = await recorded();
    expect(idsOf(seen[0])).toEqual({ traceId: work?.traceId, spanId: work?.spanId, sampled: true });
    expect(seen.slice(1)).toEqual([seen[0], around]);
    expect(work).toMatchObject({ traceId: idsOf(around)?.traceId, parentId: idsOf(around)?.spanId });
  });

  test('goes below the parent that it names, and a root below nothing, whatever is current', async () => {
    const [current, parent] = [newTraceparent(), newTraceparent()];
    await withTraceparent(current, async () => {
      await tracing.span('child', { parent }, async () => undefined);
      await tracing.span('root', { root: true, links: [parent, 'garbage'] }, async () => undefined);
    });
    const { child, root } = await recorded();
    expect(child).toMatchObject({ traceId: idsOf(parent)?.traceId, parentId: idsOf(parent)?.spanId });
    expect(root?.parentId).toBeUndefined();
    expect([idsOf(current)?.traceId, idsOf(parent)?.traceId]).not.toContain(root?.traceId);
    expect(root?.links).toEqual([{ traceId: idsOf(parent)?.traceId, spanId: idsOf(parent)?.spanId }]);
  });

  test('that fails says with which code and class, and never in which words', async () => {
    const failures = {
      domain: new DomainFailure('provider_timeout', 'no answer for Ada Lovelace'),
      application: Object.assign(new Error('of Ada Lovelace'), { type: 'step_undone' }),
      plain: new TypeError('Ada Lovelace is no number'),
      talkative: Object.assign(new Error('x'), { type: 'the order of Ada Lovelace' }),
    };
    for (const [name, failure] of Object.entries(failures)) {
      await expect(tracing.span(name, {}, () => Promise.reject(failure))).rejects.toBe(failure);
    }
    const spans = await recorded();
    expect(Object.keys(failures).map((name) => [name, spans[name]?.attributes['error.type']])).toEqual([
      ['domain', 'provider_timeout'],
      ['application', 'step_undone'],
      ['plain', 'TypeError'],
      ['talkative', '_OTHER'],
    ]);
    expect(spans['domain']).toMatchObject({
      status: { code: 'error', message: 'provider_timeout' },
      events: [{ name: 'exception', attributes: { 'exception.type': 'provider_timeout' } }],
    });
    expect(Buffer.concat(receiver.bodies).toString('latin1')).not.toContain('Lovelace');
  });

  test('that was cancelled did not fail', async () => {
    const cancelled = Object.assign(new Error('no longer wanted'), { name: 'CancelledFailure' });
    await tracing.span('attempt', {}, () => Promise.reject(cancelled)).catch(() => undefined);
    const { attempt } = await recorded();
    expect(attempt).toMatchObject({ status: { code: 'unset' }, attributes: { 'evenkeel.cancelled': true } });
  });

  test('says which process it is of, and what was noted', async () => {
    const span = tracing.begin('GET', { attributes: { 'http.route': undefined, 'evenkeel.activity.attempt': 7 } });
    span.rename('GET /v1/orders/{id}');
    span.note({ 'http.response.status_code': 503, 'evenkeel.outcome': undefined });
    span.fail('503');
    span.end();
    const { 'GET /v1/orders/{id}': renamed } = await recorded();
    expect(renamed?.attributes).toEqual({
      'evenkeel.activity.attempt': 7,
      'http.response.status_code': 503,
      'error.type': '503',
    });
    expect(renamed?.resource).toMatchObject({
      'service.namespace': 'evenkeel',
      'service.name': 'evenkeel-test',
      'service.version': '1.2.3',
    });
  });

  test('that is told of when it is over began as long ago as it took', async () => {
    await tracing.span('around', {}, async () => tracing.past('statement', 250, () => ({ errorType: '_OTHER' })));
    const { statement } = await recorded();
    expect(Number((statement?.endedAt ?? 0n) - (statement?.startedAt ?? 0n)) / 1e6).toBeCloseTo(250, 1);
    expect(statement?.status.code).toBe('error');
  });

  test('that is told of outside of any trace is none', async () => {
    tracing.past('poll', 1, () => ({}));
    await recorded();
    expect(receiver.spans).toEqual([]);
  });
});

describe('a trace', () => {
  test('that was not chosen is recorded nowhere below, and travels on as not recorded', async () => {
    tracing = begun({ ratio: 0 });
    const within = await tracing.span('root', { root: true }, ({ traceparent }) =>
      tracing.span('child', {}, async (child) => {
        tracing.past('statement', 1, () => ({}));
        return [idsOf(traceparent), idsOf(child.traceparent)];
      }),
    );
    await recorded();
    expect(receiver.spans).toEqual([]);
    expect(within[0]?.sampled).toBe(false);
    expect(within[1]).toMatchObject({ traceId: within[0]?.traceId, sampled: false });
  });

  test('that somebody records already is recorded on, however few are begun here', async () => {
    tracing = begun({ ratio: 0 });
    const recording = formatTraceparent({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true });
    await tracing.span('child', { parent: recording }, async () => undefined);
    const { child } = await recorded();
    expect(child).toMatchObject({ traceId: 'a'.repeat(32), parentId: 'b'.repeat(16) });
  });
});

describe('without an endpoint', () => {
  test('nothing is recorded, and trace contexts travel as they are', async () => {
    const nowhere = begun({ endpoint: undefined });
    expect(nowhere).toBe(noTracing);
    const around = newTraceparent();
    const seen = await withTraceparent(around, () =>
      nowhere.span('work', {}, async ({ traceparent }) => [traceparent, currentTraceparent()]),
    );
    expect(seen).toEqual([around, around]);
    const root = await withTraceparent(around, () =>
      nowhere.span('root', { root: true }, async () => currentTraceparent()),
    );
    expect(idsOf(root)?.traceId).not.toBe(idsOf(around)?.traceId);
    expect(idsOf(await nowhere.span('alone', {}, async () => currentTraceparent()))).toBeDefined();
  });
});

describe('a receiver that is away', () => {
  test('costs spans and one line in the log, and is told of once more when it is back', async () => {
    const port = await closedPort();
    const log = { ...silent, warn: vi.fn<() => void>(), info: vi.fn<() => void>() };
    const lonely = begun({ endpoint: `http://127.0.0.1:${port}/`, log });
    onTestFinished(() => lonely.stop());
    const work = () => lonely.span('work', {}, async () => 'done');
    expect(await work()).toBe('done');
    await expect.poll(() => log.warn.mock.calls.length, { timeout: 15_000 }).toBe(1);
    expect(await work()).toBe('done');
    const back = await startOtlpReceiver(port);
    onTestFinished(() => back.close());
    await expect.poll(() => work().then(() => log.info.mock.calls.length), { timeout: 15_000 }).toBe(1);
    expect(log.warn.mock.calls.length).toBe(1);
    expect(back.spans.length).toBeGreaterThan(0);
  });

  test('that refuses what it is sent costs spans and one line too', async () => {
    receiver.answer = 400;
    const log = { ...silent, warn: vi.fn<() => void>() };
    tracing = begun({ log });
    // More than one batch.
    for (let index = 0; index < 1_000; index += 1) tracing.begin('work', { root: true }).end();
    await recorded();
    expect(log.warn.mock.calls.length).toBe(1);
  });

  test('holds up no end of the process', async () => {
    receiver.answer = 503;
    await tracing.span('work', {}, async () => undefined);
    await expect(tracing.stop()).resolves.toBeUndefined();
  });
});

test('more spans than are kept are dropped, and nothing waits for them', async () => {
  for (let index = 0; index < 20_000; index += 1) tracing.begin('work', { root: true }).end();
  await recorded();
  // What is kept, and the batch that was on its way.
  expect(receiver.spans.length).toBeGreaterThanOrEqual(8_192);
  expect(receiver.spans.length).toBeLessThanOrEqual(8_192 + 512);
});
