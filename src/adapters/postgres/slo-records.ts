import { sql } from 'kysely';
import type { JudgedSlo, SloCounts } from '../../domain/objectives.ts';
import type { JudgedRound, SloRecords } from '../../domain/slo-ports.ts';
import type { Thresholds } from '../../domain/objectives.ts';
import type { Database, Queries } from './database.ts';
import { readByConsumer } from './slo-consumers.ts';
import { addRequestMinutes, addVerdicts, readTotals, readWindows, removeOldMinutes } from './slo-counts.ts';
import { eventsPass } from './slo-deliveries.ts';
import { lagVerdicts, nextMinutes } from './slo-lag.ts';
import { closedAttentionsPass, ordersPass, overdueAttentionsPass } from './slo-orders.ts';
import { type Horizon, nextSpan, type Pass, readHorizon } from './slo-pass.ts';

const passes: readonly Pass[] = [ordersPass, closedAttentionsPass, overdueAttentionsPass, eventsPass];
const LAG = 'lag-minutes';

/** Which passes an objective's verdicts come from. */
const passesOf: Readonly<Record<JudgedSlo, readonly string[]>> = {
  'order-processing': [ordersPass.name],
  'human-decision': [closedAttentionsPass.name, overdueAttentionsPass.name],
  'delivery-dispatch': [eventsPass.name],
  'delivery-platform': [eventsPass.name],
  'delivery-end-to-end': [eventsPass.name],
  'consumer-lag': [LAG],
};

/** So many orders, attentions or events in a round: a fraction of a second, also where all of them were late. */
const MOST = 2_000;

/** `most` is for tests: a round is as large as it may be without it. */
export function postgresSloRecords(db: Database, { most = MOST } = {}): SloRecords {
  return {
    judge: (thresholds) => db.transaction((trx) => judge(trx, thresholds, most)),
    addRequests: async (minutes) => {
      if (minutes.length > 0) await db.transaction((trx) => addRequestMinutes(trx, minutes));
    },
    totals: () => db.read((queries) => readTotals(queries, passesOf)),
    windows: (windowsMs) => db.read((queries) => readWindows(queries, windowsMs)),
    byConsumer: (windowMs, thresholdMs) => db.read((queries) => readByConsumer(queries, windowMs, thresholdMs)),
  };
}

/**
 * One round: what it adds up and how far it came is committed together. Its statements see what was committed before
 * each of them, so the one that counts sees all that the horizon promises.
 */
async function judge(trx: Queries, thresholds: Thresholds, most: number): Promise<JudgedRound | undefined> {
  if (!(await isOnlyJudge(trx))) return undefined;
  const horizon = await readHorizon(trx);
  const cursors = await readCursors(trx);
  const counts: Counts[] = [];
  const moved: Cursor[] = [];
  let more = false;
  for (const pass of passes) {
    const waitMs = pass.waitMs(thresholds);
    const after = cursors.get(pass.name) ?? later(horizon.at, -waitMs);
    const { span, found } = await nextSpan(trx, pass, { after, until: later(horizon.at, -waitMs), most });
    if (found > 0) counts.push(...(await addVerdicts(trx, pass.verdicts(span, thresholds))));
    const hasMore = found === most;
    more ||= hasMore;
    moved.push({ pass: pass.name, reached: span.upTo, judgedUntil: hasMore ? later(span.upTo, waitMs) : horizon.at });
  }
  const lag = await judgeLag(trx, { after: cursors.get(LAG) ?? horizon.at, horizon, thresholds });
  await moveCursors(trx, [...moved, lag.cursor]);
  return { judged: summed([...counts, ...lag.counts]), more: more || lag.more };
}

type Counts = SloCounts & { readonly slo: JudgedSlo };

interface Cursor {
  readonly pass: string;
  readonly reached: Date;
  readonly judgedUntil: Date;
}

async function judgeLag(
  trx: Queries,
  { after, horizon, thresholds }: { readonly after: Date; readonly horizon: Horizon; readonly thresholds: Thresholds },
): Promise<{ readonly cursor: Cursor; readonly counts: readonly Counts[]; readonly more: boolean }> {
  const minutes = await nextMinutes(trx, after, horizon);
  const cursor = { pass: LAG, reached: after, judgedUntil: horizon.at };
  if (minutes === undefined) return { cursor, counts: [], more: false };
  const counts = await addVerdicts(trx, lagVerdicts(minutes, thresholds));
  await removeOldMinutes(trx);
  const { last, more } = minutes;
  return { cursor: { ...cursor, reached: last, judgedUntil: more ? last : horizon.at }, counts, more };
}

/** Until the transaction ends. Whoever is not leaves it to the one who is. */
async function isOnlyJudge(trx: Queries): Promise<boolean> {
  const { rows } = await sql<{ is_mine: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended('evenkeel judge', 0)) as is_mine`.execute(trx);
  return rows[0]?.is_mine === true;
}

async function readCursors(trx: Queries): Promise<ReadonlyMap<string, Date>> {
  const cursors = await trx.selectFrom('slo_cursors').select(['pass', 'reached']).execute();
  return new Map(cursors.map(({ pass, reached }) => [pass, reached]));
}

/** Never back: not where a threshold was raised, a transaction lasts, or the clock was set. */
async function moveCursors(trx: Queries, cursors: readonly Cursor[]): Promise<void> {
  await sql`
    insert into slo_cursors as c (pass, reached, judged_until)
    select * from unnest(${cursors.map(({ pass }) => pass)}::text[], ${cursors.map(({ reached }) => reached)}::timestamptz[],
      ${cursors.map(({ judgedUntil }) => judgedUntil)}::timestamptz[])
    on conflict (pass) do update set reached = greatest(c.reached, excluded.reached),
      judged_until = greatest(c.judged_until, excluded.judged_until)`.execute(trx);
}

function summed(counts: readonly Counts[]): JudgedRound['judged'] {
  const of = (slo: JudgedSlo): SloCounts => {
    const own = counts.filter((count) => count.slo === slo);
    const sum = (key: keyof SloCounts) => own.reduce((total, count) => total + count[key], 0);
    return { good: sum('good'), bad: sum('bad'), excluded: sum('excluded') };
  };
  return {
    'order-processing': of('order-processing'),
    'human-decision': of('human-decision'),
    'delivery-dispatch': of('delivery-dispatch'),
    'delivery-platform': of('delivery-platform'),
    'delivery-end-to-end': of('delivery-end-to-end'),
    'consumer-lag': of('consumer-lag'),
  };
}

function later(time: Date, ms: number): Date {
  return new Date(time.getTime() + ms);
}
