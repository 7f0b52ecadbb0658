import { type Headers, defaultPayloadConverter } from '@temporalio/common';
import { beforeEach, describe, expect, test } from 'vitest';
import { newTraceparent } from '../../src/telemetry/trace-context.ts';
import { interceptors } from '../../src/workflows/interceptors.ts';

/** One run of a workflow, as the SDK drives its interceptors. */
function newRun() {
  const { inbound: [inbound] = [], outbound: [outbound] = [] } = interceptors();
  if (inbound === undefined || outbound === undefined) throw new Error('no interceptors');
  /** What the SDK would send on. */
  const sent: { readonly headers: Headers }[] = [];
  const next = async (input: unknown): Promise<never> => {
    sent.push(input as { headers: Headers });
    return undefined as never;
  };
  const carried = (): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(sent.at(-1)?.headers ?? {}).map(([name, payload]) => [
        name,
        defaultPayloadConverter.fromPayload(payload),
      ]),
    );
  return {
    start: (headers: Headers) => inbound.execute?.({ args: [], headers }, async () => undefined),
    signal: (headers: Headers) => inbound.handleSignal?.({ signalName: 's', args: [], headers }, async () => undefined),
    update: (headers: Headers) =>
      inbound.handleUpdate?.({ updateId: 'u', name: 'u', args: [], headers }, async () => undefined),
    timer: (durationMs: number, fired: Promise<void>) => outbound.startTimer?.({ durationMs, seq: 1 }, () => fired),
    async activity(): Promise<Record<string, unknown>> {
      await outbound.scheduleActivity?.({ headers: {} } as never, next);
      return carried();
    },
    async localActivity(): Promise<Record<string, unknown>> {
      await outbound.scheduleLocalActivity?.({ headers: {} } as never, next);
      return carried();
    },
    async nextRun(): Promise<Headers> {
      await outbound.continueAsNew?.({ headers: {} } as never, next);
      return sent.at(-1)?.headers ?? {};
    },
  };
}

const first = newTraceparent();
const later = newTraceparent();
const from = (traceparent: unknown): Headers => ({ traceparent: defaultPayloadConverter.toPayload(traceparent) });

describe('an activity', () => {
  let run: ReturnType<typeof newRun>;
  beforeEach(() => {
    run = newRun();
    void run.start(from(first));
  });

  test('gets the context that its workflow was started with', async () => {
    expect(await run.activity()).toEqual({ traceparent: first });
    expect(await run.localActivity()).toEqual({ traceparent: first });
  });

  test.each(['signal', 'update'] as const)('gets that of the latest %s, and the first to link to', async (stimulus) => {
    void run[stimulus](from(later));
    expect(await run.activity()).toEqual({ traceparent: later, 'evenkeel-first-traceparent': first });
    expect(await run.localActivity()).toEqual({ traceparent: later, 'evenkeel-first-traceparent': first });
  });

  test.each([{}, from(7), from(null)])('gets none after a signal that brought none: %j', async (headers) => {
    void run.signal(headers);
    expect(await run.activity()).toEqual({ 'evenkeel-first-traceparent': first });
  });

  test('gets none after a wait of more than ten minutes', async () => {
    const fired = Promise.resolve();
    await run.timer(600_001, fired);
    expect(await run.activity()).toEqual({ 'evenkeel-first-traceparent': first });
  });

  test('gets the same as before while such a wait goes on, and after it was given up', async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const waiting = run.timer(600_001, promise);
    expect(await run.activity()).toEqual({ traceparent: first });
    reject(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    expect(await run.activity()).toEqual({ traceparent: first });
  });

  test('gets the same as before after a shorter one, which is part of a step', async () => {
    await run.timer(600_000, Promise.resolve());
    expect(await run.activity()).toEqual({ traceparent: first });
  });
});

test('a workflow that was started without a context has none to give', async () => {
  const run = newRun();
  void run.start({});
  expect(await run.activity()).toEqual({});
  expect(await run.nextRun()).toEqual({});
});

test('a run that goes on where another stopped begins anew, and knows the first', async () => {
  const run = newRun();
  void run.start(from(first));
  void run.signal(from(later));
  const headers = await run.nextRun();
  const next = newRun();
  void next.start(headers);
  expect(await next.activity()).toEqual({ 'evenkeel-first-traceparent': first });
  const last = newRun();
  void last.start(await next.nextRun());
  expect(await last.activity()).toEqual({ 'evenkeel-first-traceparent': first });
});

test('a timer resolves in the very turn in which it would without us', async () => {
  const run = newRun();
  const { promise } = Promise.withResolvers<void>();
  expect(run.timer(600_001, promise)).toBe(promise);
});
