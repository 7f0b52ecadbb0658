import { z } from 'zod';
import { DomainFailure } from '../domain/failures.ts';
import { type Objective, sloNames } from '../domain/objectives.ts';
import type { SloHistory, SloRecords, SloTotal } from '../domain/slo-ports.ts';
import { budgetWindowsMs, stateOf } from '../slo/budget.ts';
import { monthOf } from '../slo/report.ts';
import type { Sla } from '../slo/sla.ts';
import { type Route, route } from './route.ts';
import { shownConsumerSli, shownMonth, shownSlo, type slo, sloDetails, sloList, sloReport } from './slo-schemas.ts';

/** What the objectives' routes need from outside. */
export interface SloApiDeps {
  readonly slo: Pick<SloRecords, 'totals' | 'windows' | 'byConsumer'>;
  readonly sloHistory: SloHistory;
  /** In the order that they are shown in. */
  readonly objectives: readonly Objective[];
  readonly sla: Sla;
}

const mostConsumers = 20;
const dayMs = 24 * 3_600_000;

const namePath = z.strictObject({ name: z.enum(sloNames) });

const monthPath = z.strictObject({
  month: z
    .string()
    .regex(/^[1-9]\d{3}-(0[1-9]|1[0-2])$/, 'must be a month such as 2026-10')
    .describe('A calendar month in UTC: 2026-10'),
});

/** What is promised, how it is kept, and what is left to spend: from PostgreSQL, whether there is a Prometheus or not. */
export function sloRoutes(deps: SloApiDeps): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/slos',
      operationId: 'listSlos',
      access: 'operations:read',
      tag: 'Operations',
      summary: 'Look at the objectives, what is left of their budgets, and how fast it goes',
      description:
        'Shares are those of events over a whole window, never averages of shares. Where there were no events there is no share: `"reason": "not_enough_data"`.',
      answers: { 200: { description: 'All of them', schema: sloList } },
      problems: ['store_unavailable'],
      async handle() {
        return { status: 200, json: { data: await statesOf(deps, deps.objectives) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/slos/{name}',
      operationId: 'getSlo',
      access: 'operations:read',
      tag: 'Operations',
      summary: 'Look at one objective',
      params: namePath,
      answers: { 200: { description: 'The objective', schema: sloDetails } },
      problems: ['store_unavailable'],
      async handle({ params: { name } }) {
        const objective = deps.objectives.find((one) => one.name === name);
        if (objective === undefined) throw new DomainFailure('not_found', `there is no objective ${name}`);
        const [[state], consumers] = await Promise.all([statesOf(deps, [objective]), consumersOf(deps, objective)]);
        return { status: 200, json: { ...state, ...consumers } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/slo-reports/{month}',
      operationId: 'getSloReport',
      access: 'operations:read',
      tag: 'Operations',
      summary: 'Look at how objectives and promises were kept in a calendar month',
      params: monthPath,
      answers: { 200: { description: 'The month, as far as it is counted', schema: sloReport } },
      problems: ['store_unavailable'],
      async handle({ params: { month } }) {
        const [{ days, isWhole }, totals] = await Promise.all([deps.sloHistory.month(month), deps.slo.totals()]);
        const judgedUntil = oldestOf(totals);
        const { title, exclusions } = deps.sla;
        const months = monthOf(deps.objectives, deps.sla, days);
        const objectives = deps.objectives.flatMap((objective, at) => {
          const own = months[at];
          return own === undefined ? [] : [shownMonth(objective, own)];
        });
        const isJudged = judgedUntil !== undefined && judgedUntil.getTime() >= endOf(month);
        const json = {
          month,
          complete: isWhole && isJudged,
          reason: !isWhole ? ('not_kept' as const) : isJudged ? null : ('not_judged' as const),
          judgedUntil: judgedUntil?.toISOString() ?? null,
          agreement: { title, exclusions },
          objectives,
        };
        return { status: 200, json };
      },
    }),
  ];
}

async function statesOf(
  { slo: records }: SloApiDeps,
  objectives: readonly Objective[],
): Promise<readonly z.output<typeof slo>[]> {
  const [windows, totals] = await Promise.all([records.windows(budgetWindowsMs), records.totals()]);
  return objectives.map((objective) => {
    const counts = windows.find((one) => one.slo === objective.name)?.windows;
    if (counts === undefined) throw new Error(`the store knows no objective ${objective.name}`);
    const total = totals.find((one) => one.slo === objective.name);
    return shownSlo(objective, stateOf(objective, counts), total);
  });
}

async function consumersOf({ slo: records }: SloApiDeps, { name, windowDays, thresholdMs }: Objective) {
  if (name !== 'delivery-end-to-end' || thresholdMs === null) return {};
  const consumers = await records.byConsumer(windowDays * dayMs, thresholdMs);
  return { consumers: consumers.slice(0, mostConsumers).map(shownConsumerSli) };
}

/** Up to here all is judged that is judged from records. */
function oldestOf(totals: readonly SloTotal[]): Date | undefined {
  const times = totals.flatMap(({ judgedUntil }) => judgedUntil ?? []);
  return times.toSorted((one, other) => one.getTime() - other.getTime())[0];
}

/** The first moment after a month, in milliseconds. */
function endOf(month: string): number {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return Date.UTC(year, number);
}
