import { Client } from 'pg';
import { connect } from '../../src/adapters/postgres/database.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import type { Thresholds } from '../../src/domain/objectives.ts';
import type { JudgedRound, SloRecords } from '../../src/domain/slo-ports.ts';
import { testDatabase } from './postgres.ts';

/** As shipped, but for people: ten minutes, so that a history of half an hour has all cases. */
export const thresholds: Thresholds = {
  'order-processing': 500,
  'human-decision': 600_000,
  'delivery-dispatch': 500,
  'delivery-platform': 30_000,
  'delivery-end-to-end': 30_000,
  'consumer-lag': 60_000,
};

/** A database for a file, and who may write anything into it, past all rules. */
export async function newSloStore() {
  const { url, drop } = await testDatabase();
  const admin = new Client({ connectionString: url, application_name: 'test' });
  await admin.connect();
  await admin.query('set session_replication_role = replica');
  const databases: ReturnType<typeof connect>[] = [];
  /** Another process; its URL may end in a query. */
  const another = (query = '') => {
    const db = connect(`${url}${query}`, { pool: 3 });
    databases.push(db);
    return db;
  };
  const db = another();
  return {
    url,
    admin,
    db,
    another,
    records: (options?: { readonly most?: number }) => postgresSloRecords(db, options),
    /** Empty, with the judge at `reached`, in epoch milliseconds; it measures lag from now on. */
    async begin(reached: number): Promise<void> {
      await admin.query(`truncate orders, events, attentions, deliveries, attempts, dead_letter_actions, consumers,
        consumer_health, consumer_changes, slo_minutes cascade`);
      await admin.query('update slo_totals set good = 0, bad = 0, excluded = 0');
      await admin.query(
        `update slo_cursors set judged_until = to_timestamp($1 / 1000.0),
          reached = case when pass = 'lag-minutes' then now() else to_timestamp($1 / 1000.0) end`,
        [reached],
      );
    },
    /** What the store holds of all but lag and requests, as `byMinute` shows it. */
    async minutes(): Promise<Record<string, { good: number; bad: number; excluded: number }>> {
      const { rows } = await admin.query<{ key: string; good: number; bad: number; excluded: number }>(
        `select slo || ' ' || to_char(minute at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS".000Z"') as key, good::int,
          bad::int, excluded::int from slo_minutes where slo not in ('consumer-lag', 'api-availability')`,
      );
      return Object.fromEntries(rows.map(({ key, ...counts }) => [key, counts]));
    },
    async stop(): Promise<void> {
      await Promise.all(databases.map((one) => one.destroy()));
      await admin.end();
      await drop();
    },
  };
}

/** Rounds until nothing is due; resolves with them. One that somebody else judges just now is no round. */
export async function judgeAll(records: SloRecords, by: Thresholds = thresholds): Promise<JudgedRound[]> {
  const rounds: JudgedRound[] = [];
  for (;;) {
    const round = await records.judge(by);
    if (round === undefined) continue;
    rounds.push(round);
    if (!round.more) return rounds;
  }
}
