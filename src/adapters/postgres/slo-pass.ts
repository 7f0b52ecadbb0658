import { type RawBuilder, sql } from 'kysely';
import type { Thresholds } from '../../domain/objectives.ts';
import { APPLICATION_NAME, type Queries } from './database.ts';

/** What a pass judges in one step: all that happened after `after`, and up to and with `upTo`. */
export interface Span {
  readonly after: Date;
  readonly upTo: Date;
}

/** One walk over records of a kind, in the order of their times; each is judged once, when its time is over. */
export interface Pass {
  readonly name: string;
  /** From what happened to its judgement, in milliseconds. */
  waitMs(thresholds: Thresholds): number;
  /** Selects `at` of all that is to be judged, by an index. */
  readonly times: RawBuilder<unknown>;
  /** How many records are to be looked at for one of the `times`, `t`; one where nothing is said. */
  readonly cost?: RawBuilder<unknown>;
  /** Selects the verdicts, as `addVerdicts` takes them: a pure function of times that are stored. */
  verdicts(span: Span, thresholds: Thresholds): RawBuilder<unknown>;
}

export interface Horizon {
  /** Whatever is yet to be committed is dated after this moment. */
  readonly at: Date;
  readonly now: Date;
}

/** Stored times are rounded to a millisecond, up or down, and so is this one. */
const ROUNDING_MS = 2;

/**
 * No transaction of ours that still runs began before it, and what a transaction writes it dates later than its
 * beginning. To be asked before the statement that counts, which then sees all that was committed by then.
 */
export async function readHorizon(trx: Queries): Promise<Horizon> {
  const { rows } = await sql<Horizon>`
    select statement_timestamp()::timestamptz(3) as now, (least(statement_timestamp(), (
        select min(xact_start) from pg_stat_activity
        where datname = current_database() and application_name = ${APPLICATION_NAME} and pid <> pg_backend_pid()
      )) - ${ROUNDING_MS} * interval '1 millisecond')::timestamptz(3) as at`.execute(trx);
  const [row] = rows;
  if (row === undefined) throw new Error('a clock without a time');
  return row;
}

/** The beginning of what is due: what it costs is no more than `most` where not more happened at the very same moment. */
export async function nextSpan(
  trx: Queries,
  pass: Pass,
  { after, until, most }: { readonly after: Date; readonly until: Date; readonly most: number },
): Promise<{ readonly span: Span; readonly found: number; readonly more: boolean }> {
  if (until <= after) return { span: { after, upTo: after }, found: 0, more: false };
  const { rows } = await sql<{ found: number; upTo: Date | null; last: Date | null }>`
    select count(*) as found, coalesce(max(at) filter (where cost <= ${most}), min(at)) as "upTo", max(at) as last
    from (
      select at, sum(cost) over (order by at) as cost from (
        select at, ${pass.cost ?? sql`1`} as cost from (${pass.times}) as t
        where at > ${after} and at <= ${until} order by at limit ${most}
      ) due
    ) added`.execute(trx);
  const { found = 0, upTo = null, last = null } = rows[0] ?? {};
  if (upTo === null || last === null) return { span: { after, upTo: until }, found, more: false };
  const more = found === most || upTo < last;
  return { span: { after, upTo: more ? upTo : until }, found, more };
}

/** The moment `ms` milliseconds after `time`. */
export function plus(time: RawBuilder<unknown>, ms: number): RawBuilder<unknown> {
  return sql`(${time} + ${ms} * interval '1 millisecond')`;
}

/** Whether `time` is in the span. */
export function within(time: RawBuilder<unknown>, { after, upTo }: Span): RawBuilder<unknown> {
  return sql`(${time} > ${after} and ${time} <= ${upTo})`;
}
