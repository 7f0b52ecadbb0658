import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { ApiProblem } from '../../src/api/problems.ts';
import { sloDetails, sloList, sloReport } from '../../src/api/slo-schemas.ts';
import { type SloApiDeps, sloRoutes } from '../../src/api/slos.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { sloNames } from '../../src/domain/objectives.ts';
import { budgetWindows, budgetWindowsMs } from '../../src/slo/budget.ts';
import { runContext } from './api-access-fakes.ts';
import { judgedUntil, sloFakes } from './api-slo-fakes.ts';

/** What an operation answers, as its schema reads it. */
async function answerOf<S extends z.ZodType>(
  deps: SloApiDeps,
  operationId: string,
  schema: S,
  path: Record<string, string> = {},
): Promise<z.output<S>> {
  const operation = sloRoutes(deps).find((route) => route.operationId === operationId);
  const raw = { path, query: {}, headers: {}, body: Buffer.alloc(0) };
  return schema.parse((await operation?.run(raw, runContext()))?.json);
}

const one = (deps: SloApiDeps, name: string) => answerOf(deps, 'getSlo', sloDetails, { name });
const report = (deps: SloApiDeps, month = '2026-10') => answerOf(deps, 'getSloReport', sloReport, { month });

describe('an objective', () => {
  test.each(['order-joy', '', '__proto__'])('that there is none of, %j, is not found', async (name) => {
    const refusal = one(sloFakes(), name);
    await expect(refusal).rejects.toThrow(ApiProblem);
    await expect(refusal).rejects.toMatchObject({ code: 'not_found' });
  });

  test('that this installation does not have is not found', async () => {
    const deps = { ...sloFakes(), objectives: [] };
    await expect(one(deps, 'consumer-lag')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('without events has no share, and says why', async () => {
    expect(await one(sloFakes(), 'human-decision')).toMatchObject({
      sli: null,
      reason: 'not_enough_data',
      budget: null,
      exhaustion: { state: 'not_enough_data', hours: null, window: null },
      alarm: 'none',
    });
  });

  test('comes with its budget, its burn rates, and up to when all is counted', async () => {
    const deps = sloFakes();
    const shown = await one(deps, 'order-processing');
    expect(shown).toMatchObject({
      target: 0.999,
      thresholdMs: 500,
      sli: 0.9995,
      reason: null,
      budget: { allowedEvents: 10, badEvents: 5, leftEvents: 5, leftShare: 0.5 },
      exhaustion: { state: 'burning', hours: 1, window: '1h' },
      judgedUntil,
    });
    expect(shown.windows.map(({ window, burnRate }) => [window, burnRate])).toEqual(
      budgetWindows.map((name) => [name, 0.5]),
    );
    expect(shown.consumers).toBeUndefined();
    expect(deps.asked).toEqual([['windows', budgetWindowsMs]]);
  });

  test('that each process counts by itself is judged up to no moment', async () => {
    expect((await one(sloFakes(), 'api-availability')).judgedUntil).toBeNull();
  });

  test('of delivery shows the twenty consumers that do worst', async () => {
    const deps = sloFakes();
    const { consumers = [] } = await one(deps, 'delivery-end-to-end');
    expect(consumers).toHaveLength(20);
    expect(consumers[0]).toMatchObject({ name: 'warehouse', sli: 0.9 });
    expect(consumers[1]).toMatchObject({ sli: null });
    expect(deps.asked).toContainEqual(['byConsumer', 30 * 24 * 3_600_000, 30_000]);
  });

  test('cannot be looked at while PostgreSQL is away', async () => {
    const deps = sloFakes();
    const away = () => Promise.reject(new DomainFailure('store_unavailable', 'it is away'));
    await expect(one({ ...deps, slo: { ...deps.slo, windows: away } }, 'consumer-lag')).rejects.toThrow('it is away');
  });
});

test('the list has every objective', async () => {
  const { data } = await answerOf(sloFakes(), 'listSlos', sloList);
  expect(data.map(({ name }) => name)).toEqual(sloNames);
});

describe('the report of a month', () => {
  test.each(['2026-13', '2026-1', 'october', '0026-10', ''])('%j, which is none, is not found', async (month) => {
    await expect(report(sloFakes(), month)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('weighs days by their events, and tells objective and promise apart', async () => {
    const { objectives, agreement } = await report(sloFakes());
    const [processing, decision, ...others] = objectives;
    expect(processing).toMatchObject({
      name: 'order-processing',
      good: 1_989,
      bad: 11,
      sli: 0.9945,
      met: false,
      sla: { target: 0.995, met: false, creditPercent: 10 },
      worstDays: [{ day: '2026-10-01', bad: 11, budgetShare: 5.5 }],
    });
    expect(decision).toMatchObject({ sli: null, met: null, budget: null, worstDays: [], sla: null });
    expect(others.find(({ name }) => name === 'api-availability')).toMatchObject({
      met: true,
      budget: { leftEvents: 0 },
      sla: { met: true, creditPercent: 0 },
    });
    expect(others.find(({ name }) => name === 'delivery-platform')?.sla).toMatchObject({ met: null, creditPercent: 0 });
    expect(agreement.exclusions).not.toEqual([]);
  });

  test('is complete once all of it is judged, and not before', async () => {
    const deps = sloFakes();
    expect(await report(deps)).toMatchObject({ complete: true, reason: null, judgedUntil });
    expect(await report(deps, '2026-11')).toMatchObject({ complete: false, reason: 'not_judged' });
    const judged = new Date('2026-10-31T23:59:59.999Z');
    const totals = async () =>
      (await deps.slo.totals()).map((total) =>
        total.slo === 'consumer-lag' ? { ...total, judgedUntil: judged } : total,
      );
    expect(await report({ ...deps, slo: { ...deps.slo, totals } })).toMatchObject({
      complete: false,
      judgedUntil: judged.toISOString(),
    });
  });

  test('is not complete any more once some of it is removed', async () => {
    expect(await report(sloFakes(), '2025-10')).toMatchObject({ complete: true });
    expect(await report(sloFakes(), '2025-09')).toMatchObject({ complete: false, reason: 'not_kept' });
  });
});
