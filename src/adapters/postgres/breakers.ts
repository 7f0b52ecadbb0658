import { type Selectable, sql } from 'kysely';
import {
  type BreakerName,
  type BreakerStore,
  type BreakerView,
  type Forcing,
  type ToldBreaker,
  type ToldTransition,
  breakerNames,
} from '../../domain/breakers.ts';
import type { Database, Queries } from './database.ts';
import type { Tables } from './schema.ts';
import { storable } from './text.ts';

/** A process tells every two seconds: one that has not for so long is gone. */
const GONE_MS = 60_000;
const SHOWN_TRANSITIONS = 20;
/** Of each breaker; who wants to know more asks the metrics and the log. */
const KEPT_TRANSITIONS = 1_000;

export function postgresBreakers(db: Database): BreakerStore {
  return {
    forced: () => db.read(readForced),
    force: (name, forcing) =>
      db.transaction(async (trx) => {
        const { state, reason, actor, auditId: audit_id } = forcing;
        if (state === 'auto') await trx.deleteFrom('breaker_forcings').where('name', '=', name).execute();
        else {
          const values = { state, reason, actor, audit_id, at: sql<Date>`clock_timestamp()` };
          await trx
            .insertInto('breaker_forcings')
            .values({ name, ...values })
            .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
            .execute();
        }
        const view = (await readViews(trx)).find((one) => one.name === name);
        if (view === undefined) throw new TypeError(`there is no breaker ${name}`);
        return view;
      }),
    report: (worker, breakers, transitions) =>
      db.transaction(async (trx) => {
        await replaceReports(trx, worker, breakers);
        if (transitions.length > 0) await addTransitions(trx, worker, transitions);
      }),
    list: () => db.read(readViews),
    forcedMs: () =>
      db.read(async (queries) => {
        const { rows } = await sql<{ name: BreakerName; ms: number }>`
          select name, (extract(epoch from clock_timestamp() - at) * 1000)::float8 as ms
          from breaker_forcings`.execute(queries);
        return Object.fromEntries(rows.map(({ name, ms }) => [name, Math.max(0, ms)]));
      }),
  };
}

const auto: Forcing = { state: 'auto', reason: null, actor: null, at: null };

async function readForced(queries: Queries): Promise<Partial<Record<BreakerName, Forcing>>> {
  const rows = await queries.selectFrom('breaker_forcings').selectAll().execute();
  return Object.fromEntries(
    rows.map(({ name, state, reason, actor, at }) => [name, { state, reason, actor, at: at.toISOString() }]),
  );
}

/** Several queries that need not see the same moment: each is one of an incident, which changes meanwhile anyhow. */
async function readViews(queries: Queries): Promise<readonly BreakerView[]> {
  const forced = await readForced(queries);
  const { rows: reports } = await sql<Selectable<Tables['breaker_reports']>>`
    select * from breaker_reports
    where told_at > clock_timestamp() - make_interval(secs => ${GONE_MS / 1000}) order by worker`.execute(queries);
  const { rows: transitions } = await sql<Selectable<Tables['breaker_transitions']>>`
    select t.* from unnest(${[...breakerNames]}::text[]) as one (name)
    cross join lateral (
      select * from breaker_transitions where name = one.name order by id desc limit ${SHOWN_TRANSITIONS}
    ) t order by t.id desc`.execute(queries);
  return breakerNames.map((name) => ({
    name,
    forced: forced[name] ?? auto,
    workers: reports
      .filter((report) => report.name === name)
      .map(({ worker, state, since, calls, failures, told_at: toldAt }) => {
        const times = { since: since.toISOString(), toldAt: toldAt.toISOString() };
        return { name, worker, state, calls, failures, ...times };
      }),
    transitions: transitions
      .filter((transition) => transition.name === name)
      .map(({ at, worker, from_state: from, to_state: to, cause }) => {
        return { at: at.toISOString(), worker, from, to, cause };
      }),
  }));
}

async function replaceReports(trx: Queries, worker: string, breakers: readonly ToldBreaker[]): Promise<void> {
  // All processes in the order of the names: two that tell at once, and clear away after a third, do not wait in a ring.
  await sql`
    delete from breaker_reports where (name, worker) in (
      select name, worker from breaker_reports
      where told_at < clock_timestamp() - make_interval(secs => ${GONE_MS / 1000}) and worker <> ${worker}
      order by name, worker for update skip locked)`.execute(trx);
  await sql`
    insert into breaker_reports (name, worker, state, since, calls, failures)
    select name, ${worker}, state, ${ago('since_ms_ago')}, calls, failures
    from json_to_recordset(${JSON.stringify(
      breakers.map(({ sinceMsAgo, ...told }) => ({ ...told, since_ms_ago: sinceMsAgo })),
    )}::json) as told (name text, state text, since_ms_ago float8, calls int, failures int)
    on conflict (name, worker) do update set state = excluded.state, since = excluded.since, calls = excluded.calls,
      failures = excluded.failures, told_at = clock_timestamp()`.execute(trx);
}

async function addTransitions(trx: Queries, worker: string, transitions: readonly ToldTransition[]): Promise<void> {
  const rows = transitions.map(({ name, from, to, cause, msAgo: ms_ago }) => {
    return { name, from_state: from, to_state: to, cause: storable(cause), ms_ago };
  });
  await sql`
    insert into breaker_transitions (name, worker, at, from_state, to_state, cause)
    select name, ${worker}, ${ago('ms_ago')}, from_state, to_state, cause
    from json_to_recordset(${JSON.stringify(rows)}::json)
      as told (name text, from_state text, to_state text, cause text, ms_ago float8)`.execute(trx);
  const names = [...new Set(rows.map(({ name }) => name))];
  await sql`
    delete from breaker_transitions t using unnest(${names}::text[]) as one (name)
    where t.name = one.name and t.id <= (
      select id from breaker_transitions where name = one.name order by id desc offset ${KEPT_TRANSITIONS} limit 1
    )`.execute(trx);
}

/** When it was, by the store's clock, where an age in milliseconds was told. */
function ago(column: string) {
  return sql`clock_timestamp() - make_interval(secs => ${sql.ref(column)} / 1000)`;
}
