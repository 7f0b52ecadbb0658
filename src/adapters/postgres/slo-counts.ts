import { type RawBuilder, sql } from 'kysely';
import { type JudgedSlo, type SloCounts, type SloName, sloNames } from '../../domain/objectives.ts';
import type { CountedMinute, SloTotal, SloWindows } from '../../domain/slo-ports.ts';
import type { Queries } from './database.ts';

/** Where the API's requests are: no pass judges them. */
const REQUESTS: SloName = 'api-availability';
/** Longer than any report looks back: a year, and a month to compare with. */
const KEPT_DAYS = 400;
/** What is older is removed by the judge, whenever it comes by. */
export const keptSince = sql`(statement_timestamp() - ${KEPT_DAYS} * interval '1 day')`;

/**
 * Adds verdicts to their minutes and to what there was since ever. `verdicts` selects `slo`, `due`, the moment that
 * counts, and `verdict`: good, bad or excluded. Resolves with what was added, by objective.
 */
export async function addVerdicts(
  trx: Queries,
  verdicts: RawBuilder<unknown>,
): Promise<readonly (SloCounts & { readonly slo: JudgedSlo })[]> {
  const { rows } = await sql<SloCounts & { slo: JudgedSlo }>`
    with verdicts as materialized (${verdicts}), counted as materialized (
      select slo, date_trunc('minute', due, 'UTC') as minute, count(*) filter (where verdict = 'good') as good,
        count(*) filter (where verdict = 'bad') as bad, count(*) filter (where verdict = 'excluded') as excluded
      from verdicts group by 1, 2
    ), ${add(sql`select * from counted`)}
    ${summed}`.execute(trx);
  return rows;
}

/** Minutes come from several processes at a time: each takes them in the same order. */
export async function addRequestMinutes(trx: Queries, minutes: readonly CountedMinute[]): Promise<void> {
  await sql`
    with counted as materialized (
      select ${REQUESTS}::text as slo, date_trunc('minute', minute, 'UTC') as minute, sum(good)::bigint as good, sum(bad)::bigint as bad, 0::bigint as excluded
      from unnest(${minutes.map(({ minute }) => minute)}::timestamptz[], ${minutes.map(({ good }) => good)}::bigint[],
        ${minutes.map(({ bad }) => bad)}::bigint[]) as m (minute, good, bad)
      group by 2
    ), ${add(sql`select * from counted order by minute`)}
    ${summed}`.execute(trx);
}

const summed = sql`select slo, sum(good)::bigint as good, sum(bad)::bigint as bad, sum(excluded)::bigint as excluded
  from counted group by slo`;

function add(counted: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`minutes as (
      insert into slo_minutes as m (slo, minute, good, bad, excluded) ${counted}
      on conflict (slo, minute) do update
        set good = m.good + excluded.good, bad = m.bad + excluded.bad, excluded = m.excluded + excluded.excluded
    ), totals as (
      insert into slo_totals as t (slo, good, bad, excluded) ${summed}
      on conflict (slo) do update
        set good = t.good + excluded.good, bad = t.bad + excluded.bad, excluded = t.excluded + excluded.excluded
    )`;
}

/** By minute, as long as anybody asks for them; what there was since ever stays. */
export async function removeOldMinutes(trx: Queries): Promise<void> {
  await sql`
    delete from slo_minutes
    where slo = any(${sloNames}) and minute < ${keptSince}`.execute(trx);
}

export async function readTotals(
  queries: Queries,
  walksOf: Readonly<Record<JudgedSlo, readonly string[]>>,
): Promise<readonly SloTotal[]> {
  const totals = await queries.selectFrom('slo_totals').selectAll().execute();
  const cursors = await queries.selectFrom('slo_cursors').selectAll().execute();
  const judgedUntil = (slo: SloName) =>
    slo === REQUESTS ? null : earliest(cursors.filter(({ pass }) => walksOf[slo as JudgedSlo].includes(pass)));
  return sloNames.map((slo) => {
    const { good = 0, bad = 0, excluded = 0 } = totals.find((total) => total.slo === slo) ?? {};
    return { slo, good, bad, excluded, judgedUntil: judgedUntil(slo) };
  });
}

function earliest(cursors: readonly { readonly judged_until: Date }[]): Date | null {
  const times = cursors.map(({ judged_until: until }) => until.getTime());
  return times.length === 0 ? null : new Date(Math.min(...times));
}

export async function readWindows(queries: Queries, windowsMs: readonly number[]): Promise<readonly SloWindows[]> {
  const { rows } = await sql<SloCounts & { slo: SloName; ordinal: number }>`
    select s.slo, w.ordinal::int as ordinal, c.good, c.bad, c.excluded
    from unnest(${sloNames}::text[]) as s (slo)
      cross join unnest(${windowsMs}::float8[]) with ordinality as w (ms, ordinal)
      cross join lateral (
        select coalesce(sum(good), 0)::bigint as good, coalesce(sum(bad), 0)::bigint as bad,
          coalesce(sum(excluded), 0)::bigint as excluded
        from slo_minutes m
        where m.slo = s.slo and m.minute >= least(date_trunc('minute', statement_timestamp(), 'UTC'),
          statement_timestamp() - w.ms * interval '1 millisecond')
      ) c
    order by w.ordinal`.execute(queries);
  const bySlo = Map.groupBy(rows, ({ slo }) => slo);
  return sloNames.map((slo) => ({
    slo,
    windows: (bySlo.get(slo) ?? []).map(({ good, bad, excluded }) => ({ good, bad, excluded })),
  }));
}
