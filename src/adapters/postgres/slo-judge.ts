import { sql } from 'kysely';
import type { JudgedSlo, SloCounts, Thresholds } from '../../domain/objectives.ts';
import type { Database, Queries } from './database.ts';
import { addVerdicts, removeOldMinutes } from './slo-counts.ts';
import { lagVerdicts, nextMinutes } from './slo-lag.ts';
import { createPace } from './slo-pace.ts';
import { type Horizon, nextSpan, type Pass, readHorizon } from './slo-pass.ts';

export type Counts = SloCounts & { readonly slo: JudgedSlo };

/** What one walk did in one round. */
export interface Step {
  readonly counts: readonly Counts[];
  readonly more: boolean;
}

/** One walk over records of one kind. */
export interface Walk {
  readonly name: string;
  step(trx: Queries, given: Given): Promise<Step & Cursor>;
}

interface Given {
  /** How far it came; undefined where nobody knows. */
  readonly after: Date | undefined;
  readonly horizon: Horizon;
  readonly thresholds: Thresholds;
  /** What a step may look at. */
  readonly most: number;
}

interface Cursor {
  readonly reached: Date;
  readonly judgedUntil: Date;
}

export function walkOf(pass: Pass): Walk {
  return {
    name: pass.name,
    async step(trx, { after: reached, horizon, thresholds, most }) {
      const waitMs = pass.waitMs(thresholds);
      const until = later(horizon.at, -waitMs);
      const { span, found, more } = await nextSpan(trx, pass, { after: reached ?? until, until, most });
      const counts = found === 0 ? [] : await addVerdicts(trx, pass.verdicts(span, thresholds));
      return { counts, more, reached: span.upTo, judgedUntil: more ? later(span.upTo, waitMs) : horizon.at };
    },
  };
}

export const lagWalk: Walk = {
  name: 'lag-minutes',
  async step(trx, { after, horizon, thresholds }) {
    const reached = after ?? horizon.at;
    const minutes = await nextMinutes(trx, reached, horizon);
    if (minutes === undefined) return { counts: [], more: false, reached, judgedUntil: horizon.at };
    const counts = await addVerdicts(trx, lagVerdicts(minutes, thresholds));
    await removeOldMinutes(trx);
    const { last, more } = minutes;
    return { counts, more, reached: last, judgedUntil: more ? last : horizon.at };
  },
};

/**
 * Goes on with one walk, in a transaction of its own: what hinders one hinders no other, and what it adds up and how far
 * it came is committed together. Its statements see what was committed before each of them, so the one that counts sees
 * all that the horizon promises. Undefined where another process does so just now. What PostgreSQL cancels because it
 * takes too long is more to do, and is tried again with less, down to one record.
 */
export function createStepper(db: Database, walk: Walk, most: number) {
  const pace = createPace(most);
  return (thresholds: Thresholds): Promise<Step | undefined> =>
    pace.run(
      (now) =>
        db.transaction(async (trx): Promise<Step | undefined> => {
          if (!(await isOnlyJudge(trx, walk.name))) return undefined;
          const horizon = await readHorizon(trx);
          const after = await readCursor(trx, walk.name);
          const { counts, more, ...cursor } = await walk.step(trx, { after, horizon, thresholds, most: now });
          await moveCursor(trx, walk.name, cursor);
          return { counts, more };
        }),
      { counts: [], more: true },
    );
}

/** Until the transaction ends. Whoever is not leaves it to the one who is. */
async function isOnlyJudge(trx: Queries, walk: string): Promise<boolean> {
  const { rows } = await sql<{ is_mine: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended('evenkeel judge ' || ${walk}, 0)) as is_mine`.execute(trx);
  return rows[0]?.is_mine === true;
}

async function readCursor(trx: Queries, walk: string): Promise<Date | undefined> {
  const cursor = await trx.selectFrom('slo_cursors').select('reached').where('pass', '=', walk).executeTakeFirst();
  return cursor?.reached;
}

/** Never back: not where a threshold was raised, a transaction lasts, or the clock was set. */
async function moveCursor(trx: Queries, walk: string, { reached, judgedUntil }: Cursor): Promise<void> {
  await sql`
    insert into slo_cursors as c (pass, reached, judged_until) values (${walk}, ${reached}, ${judgedUntil})
    on conflict (pass) do update set reached = greatest(c.reached, excluded.reached),
      judged_until = greatest(c.judged_until, excluded.judged_until)`.execute(trx);
}

function later(time: Date, ms: number): Date {
  return new Date(time.getTime() + ms);
}
