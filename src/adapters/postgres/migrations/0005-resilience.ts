import { type Kysely, sql } from 'kysely';

/** Who may do what, breakers that the fleet shares, rates, and what fallbacks remember. */
export const resilienceMigration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(resilience).execute(db);
  },
  indexes: {
    orders_by_customer: 'orders (customer_id, created_at, id)',
  },
};

const resilience = `
-- In the order in which a step takes them, and before anything else: else each would wait for what the other has.
lock table orders, decisions, events, payment_entries in access exclusive mode;

create table api_keys (
  id text collate "C" primary key,
  name text not null,
  hash bytea not null unique,
  roles text[] not null,
  customer_id text,
  created_at timestamptz(3) not null default clock_timestamp(),
  created_by text not null,
  expires_at timestamptz(3) not null,
  revoked_at timestamptz(3),
  revoked_by text,
  last_used_at timestamptz(3)
);

create table audit_log (
  id text collate "C" primary key,
  at timestamptz(3) not null default clock_timestamp(),
  actor text not null,
  roles text[] not null,
  action text not null,
  outcome text not null check (outcome in ('allowed', 'denied')),
  subject text not null,
  reason text,
  trace_id text
);
create index audit_log_by_time on audit_log (at desc, id desc);

-- Not even by the owner's mistake. Its own role cannot by its grants either.
create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_append_only before update or delete on audit_log
  for each row execute function audit_log_is_append_only();
create trigger audit_log_not_truncated before truncate on audit_log
  for each statement execute function audit_log_is_append_only();

create table breaker_forcings (
  name text collate "C" primary key,
  state text not null check (state in ('open', 'closed')),
  reason text not null,
  actor text not null,
  audit_id text not null references audit_log (id),
  at timestamptz(3) not null default clock_timestamp()
);

create table breaker_reports (
  name text collate "C" not null,
  worker text collate "C" not null,
  state text not null,
  since timestamptz(3) not null,
  calls int not null,
  failures int not null,
  told_at timestamptz(3) not null default clock_timestamp(),
  primary key (name, worker)
);

create table breaker_transitions (
  id bigint generated always as identity primary key,
  name text collate "C" not null,
  worker text not null,
  at timestamptz(3) not null,
  from_state text not null,
  to_state text not null,
  cause text not null
);
create index breaker_transitions_newest on breaker_transitions (name, id desc);

-- Lost in a crash, and made anew: what a caller has left of its rate.
create unlogged table rates (
  caller text collate "C" primary key,
  tokens double precision not null,
  -- What the last lease took: before PostgreSQL 18 a statement returns no more than the new row.
  leased int not null default 0,
  filled_at timestamptz(6) not null default clock_timestamp()
);

-- Which payment provider a key was sent to, committed before it is sent.
create table payment_routes (
  key text collate "C" not null,
  provider text collate "C" not null,
  order_id text collate "C" not null references orders,
  -- Of the last attempt.
  sent_at timestamptz(3) not null default clock_timestamp(),
  -- Those that may have been sent.
  attempts text[] not null,
  -- Nothing was sent, or the provider was asked after the longest attempt and knows nothing of the key.
  cleared_at timestamptz(3),
  -- Something was sent, and may have its effect however late; null once nobody looks any more.
  look_again_at timestamptz(3),
  primary key (key, provider)
);
-- No key is with two of them.
create unique index payment_routes_at_one on payment_routes (key) where cleared_at is null;
create index payment_routes_doubtful on payment_routes (look_again_at) where look_again_at is not null;

-- The last rates that the carrier quoted, for when it does not answer.
create table shipping_rates (
  country text collate "C" not null,
  items int not null,
  currency text collate "C" not null,
  amount_minor bigint not null,
  quoted_at timestamptz(3) not null default clock_timestamp(),
  primary key (country, items, currency)
);

create table erasures (
  id text collate "C" primary key,
  -- Who it was is what must be forgotten: only a keyed hash, so that the same request is recognized.
  customer_hash text collate "C" not null,
  orders int not null,
  audit_id text not null references audit_log (id),
  actor text not null,
  reason text not null,
  at timestamptz(3) not null default clock_timestamp()
);

create index erasures_by_customer on erasures (customer_hash);

-- Whoever is forgotten is forgotten in what happened, too: the words go. Ids, times, numbers and amounts stay.
create function refuse_rewriting_but_words() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and current_setting('evenkeel.erasing', true) = 'on'
    and to_jsonb(new) - '{body,code}'::text[] = to_jsonb(old) - '{body,code}'::text[]
    and exists (select 1 from orders where id = new.order_id and erased_at is not null)
  then return new; end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
drop trigger append_only on events;
create trigger append_only before update or delete on events
  for each row execute function refuse_rewriting_but_words();
drop trigger append_only on payment_entries;
create trigger append_only before update or delete on payment_entries
  for each row execute function refuse_rewriting_but_words();

alter table orders add column email text;
alter table orders add column erased_at timestamptz(3);
alter table decisions add column audit_id text references audit_log (id);
`;
