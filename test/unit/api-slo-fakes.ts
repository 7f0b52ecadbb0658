import type { SloApiDeps } from '../../src/api/slos.ts';
import { sloNames } from '../../src/domain/objectives.ts';
import { budgetWindowsMs } from '../../src/slo/budget.ts';
import { loadObjectives } from '../../src/slo/files.ts';

const { objectives, sla } = await loadObjectives();

export const judgedUntil = '2026-11-01T00:00:01.000Z';

/** Records with events for every objective but one, and a consumer that misses some; a test replaces what it is about. */
export function sloFakes(): SloApiDeps & { readonly asked: (readonly unknown[])[] } {
  const asked: (readonly unknown[])[] = [];
  return {
    asked,
    objectives,
    sla,
    slo: {
      totals: () =>
        Promise.resolve(
          sloNames.map((slo) => ({
            slo,
            good: 9_995,
            bad: 5,
            excluded: 1,
            judgedUntil: slo === 'api-availability' ? null : new Date(judgedUntil),
          })),
        ),
      windows: (windowsMs) => {
        asked.push(['windows', windowsMs]);
        const counts = (slo: string) =>
          slo === 'human-decision' ? { good: 0, bad: 0, excluded: 3 } : { good: 9_995, bad: 5, excluded: 1 };
        return Promise.resolve(sloNames.map((slo) => ({ slo, windows: budgetWindowsMs.map(() => counts(slo)) })));
      },
      byConsumer: (...args) => {
        asked.push(['byConsumer', ...args]);
        const worst = { consumerId: 'c-1', name: 'warehouse', good: 90, bad: 10, excluded: 0 };
        return Promise.resolve([worst, ...Array.from({ length: 30 }, () => ({ ...worst, good: 0, bad: 0 }))]);
      },
    },
    sloHistory: {
      month: (month) => {
        asked.push(['month', month]);
        const days = [
          { slo: 'order-processing', day: `${month}-01`, good: 989, bad: 11, excluded: 0 },
          { slo: 'order-processing', day: `${month}-02`, good: 1_000, bad: 0, excluded: 0 },
          { slo: 'api-availability', day: `${month}-02`, good: 999, bad: 1, excluded: 0 },
        ] as const;
        return Promise.resolve({ isWhole: month >= '2025-10', days });
      },
    },
  };
}
