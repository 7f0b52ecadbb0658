import { type Kysely, sql } from 'kysely';

/** How the objectives were met, by minute and since ever, and how far the judge has come. */
export const objectivesMigration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(objectives).execute(db);
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

-- Up to when each pass of the judge has judged everything.
create table slo_cursors (
  pass text collate "C" primary key,
  judged_until timestamptz(3) not null
);

create index attentions_opened on attentions (opened_at);
create index attentions_closed on attentions (closed_at) where closed_at is not null;
`;
