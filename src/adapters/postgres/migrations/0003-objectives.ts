import { type Kysely, sql } from 'kysely';

/** How the objectives were met, by minute and since ever, and how far the judge has come. */
export const objectivesMigration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(objectives).execute(db);
  },
  indexes: {
    attentions_opened: 'attentions (opened_at)',
    attentions_closed: 'attentions (closed_at) where closed_at is not null',
    // What a consumer was at some moment is asked for each delivery that was late.
    consumer_changes_by_time: 'consumer_changes (consumer_id, at, id)',
  },
};

const objectives = `
create table slo_minutes (
  slo text collate "C" not null,
  minute timestamptz(0) not null,
  good bigint not null default 0 check (good >= 0),
  bad bigint not null default 0 check (bad >= 0),
  excluded bigint not null default 0 check (excluded >= 0),
  primary key (slo, minute)
);

-- Since ever: what counters are exported from. Never falls, whatever becomes of old minutes.
create table slo_totals (
  slo text collate "C" primary key,
  good bigint not null default 0,
  bad bigint not null default 0,
  excluded bigint not null default 0
);
insert into slo_totals (slo) values ('order-processing'), ('human-decision'), ('delivery-dispatch'),
  ('delivery-platform'), ('delivery-end-to-end'), ('api-availability'), ('consumer-lag');

-- What was before an objective was measured is no part of it.
create table slo_cursors (
  pass text collate "C" primary key,
  -- Everything that happened up to here is judged: by its own time, so that another threshold judges nothing again.
  reached timestamptz(3) not null default now(),
  -- Everything that was to be judged up to here is judged.
  judged_until timestamptz(3) not null default now()
);
insert into slo_cursors (pass) values ('orders'), ('attentions-closed'), ('attentions-overdue'), ('events'),
  ('lag-minutes');
`;
