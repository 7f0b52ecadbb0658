import { type Kysely, sql } from 'kysely';

/** Consumers, the deliveries that each event is meant for, their attempts and what people did with dead letters. */
export const deliveryMigration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(consumers).execute(db);
    await sql.raw(deliveries).execute(db);
    await sql.raw(ordersSide).execute(db);
  },
};

const consumers = `
create table consumers (
  id text collate "C" primary key,
  name text not null,
  target jsonb not null,
  types jsonb not null,
  -- The same patterns as LIKE reads them.
  like_types text[] not null,
  filter jsonb,
  max_in_flight integer not null check (max_in_flight between 1 and 1000),
  state text not null check (state in ('enabled', 'paused', 'disabled')),
  state_reason text,
  state_since timestamptz(3) not null,
  secret text not null,
  former_secret text,
  former_secret_until timestamptz(3),
  version integer not null default 1,
  created_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
create index consumers_oldest on consumers (created_at, id) where deleted_at is null;

-- Apart from the configuration, which every change of an order reads.
create table consumer_health (
  consumer_id text collate "C" primary key references consumers,
  mode text not null default 'normal' check (mode in ('normal', 'probing', 'recovering')),
  epoch integer not null default 0,
  failing_orders text[] not null default '{}',
  connection_failures integer not null default 0,
  failures integer not null default 0,
  -- The last failure, and the first of a row of them without a success, or too long a time, in between.
  failed_at timestamptz(3),
  failing_since timestamptz(3),
  successes integer not null default 0,
  relapses integer not null default 0,
  reason text,
  trouble_since timestamptz(3),
  send_limit integer,
  -- While probing, the next delivery goes out at this time; the workflow brings it forward.
  next_probe_at timestamptz(3),
  throttled_until timestamptz(3),
  throttle_streak integer not null default 0
);

create table consumer_changes (
  id bigint generated always as identity primary key,
  consumer_id text collate "C" not null references consumers,
  at timestamptz(3) not null,
  action text not null,
  actor text not null,
  reason text,
  -- What decides which events it is meant to get from then on; types is null once it is deleted.
  types jsonb,
  filter jsonb,
  state text not null
);
create index consumer_changes_by_consumer on consumer_changes (consumer_id, id);
create trigger append_only before update or delete on consumer_changes
  for each row execute function refuse_rewriting();
`;

// No foreign key from a delivery to its consumer: it would lock the consumer's row in every change of an order, and
// consumers are marked as deleted, never taken away.
const deliveries = `
alter table events add column replaces text collate "C" references events;
alter table events drop constraint events_order_id_sequence_key;
-- One event per number, and those that stand in for one. Not partial, so that it finds all events of an order.
create unique index events_order_sequence on events (order_id, sequence, (case when replaces is null then '' else id end));
create index events_oldest on events (at, order_id, sequence, id);

create table redrives (
  id text collate "C" primary key,
  state text not null check (state in ('canary', 'running', 'paused', 'stopped', 'failed', 'completed')),
  filter jsonb not null,
  rate_per_second double precision not null check (rate_per_second > 0),
  total integer not null,
  actor text not null,
  reason text,
  created_at timestamptz(3) not null,
  finished_at timestamptz(3)
);
create index redrives_open on redrives (created_at) where finished_at is null;
create index redrives_newest on redrives (created_at desc, id desc);

create table redrive_changes (
  id bigint generated always as identity primary key,
  redrive_id text collate "C" not null references redrives,
  at timestamptz(3) not null,
  action text not null check (action in ('pause', 'resume', 'stop')),
  actor text not null,
  reason text
);
create trigger append_only before update or delete on redrive_changes
  for each row execute function refuse_rewriting();

create table deliveries (
  id bigint generated always as identity primary key,
  event_id text collate "C" not null references events,
  consumer_id text collate "C" not null,
  order_id text collate "C" not null,
  sequence integer not null,
  status text not null default 'pending' check (status in ('pending', 'delivered', 'dead', 'replaced', 'discarded')),
  -- Sent again after it was dead: neither held back by earlier events of its order nor holding back later ones.
  is_late boolean not null default false,
  attempts integer not null default 0,
  strikes integer not null default 0,
  created_at timestamptz(3) not null,
  first_attempt_at timestamptz(3),
  -- While an attempt is under way, the end of its lease.
  next_attempt_at timestamptz(3) not null,
  token text,
  settled_at timestamptz(3),
  -- Why it is dead; null otherwise.
  cause text,
  last_status integer,
  last_error text,
  redrive_id text collate "C" references redrives,
  redriven_at timestamptz(3),
  unique (event_id, consumer_id),
  check ((status = 'dead') = (cause is not null)),
  check ((status = 'pending') = (settled_at is null))
) with (autovacuum_vacuum_scale_factor = 0.02);
create index deliveries_due on deliveries (consumer_id, next_attempt_at) where status = 'pending';
create index deliveries_waiting on deliveries (consumer_id, order_id, sequence) where status = 'pending' and not is_late;
create index deliveries_under_way on deliveries (consumer_id, next_attempt_at)
  where status = 'pending' and token is not null;
create index deliveries_dead on deliveries (settled_at, id) where status = 'dead';
create index deliveries_redriven on deliveries (redrive_id, id) where redrive_id is not null;

create table attempts (
  id bigint generated always as identity primary key,
  delivery_id bigint not null references deliveries,
  consumer_id text collate "C" not null,
  started_at timestamptz(3) not null,
  duration_ms integer not null,
  outcome text not null check (outcome in ('delivered', 'failed')),
  cause text,
  status integer,
  answer text,
  error text,
  relay text not null,
  late boolean not null default false,
  check ((outcome = 'failed') = (cause is not null))
);
create index attempts_by_delivery on attempts (delivery_id, id);
create index attempts_by_consumer on attempts (consumer_id, started_at) include (outcome);
-- Few where all is well: finding the last ones must not read all that succeeded since.
create index attempts_failed on attempts (consumer_id, started_at) where outcome = 'failed';
-- Whether a consumer took anything since some attempt, in the order of writing: relays' clocks may differ.
create index attempts_delivered on attempts (consumer_id, id) where outcome = 'delivered';

create table dead_letter_actions (
  id bigint generated always as identity primary key,
  delivery_id bigint not null references deliveries,
  at timestamptz(3) not null,
  action text not null check (action in ('retry', 'redrive', 'edit', 'discard')),
  actor text not null,
  reason text,
  -- What it was when they did it: the delivery itself forgets.
  cause text not null,
  dead_since timestamptz(3) not null,
  -- Of an edit: the event that was made.
  event_id text collate "C",
  -- Of a redrive: which.
  redrive_id text collate "C" references redrives,
  check ((action = 'edit') = (event_id is not null)),
  check ((action = 'redrive') = (redrive_id is not null))
);
create index dead_letter_actions_by_delivery on dead_letter_actions (delivery_id, id);
create index dead_letter_actions_by_redrive on dead_letter_actions (redrive_id, delivery_id) where redrive_id is not null;
create trigger append_only before update or delete on dead_letter_actions
  for each row execute function refuse_rewriting();
`;

const ordersSide = `
-- Answers are remembered for all that creates, not for orders only.
alter table idempotency_answers alter column order_id drop not null;

-- One inbox for every way in: what a message is about is known only once it was understood.
alter table inbox
  add column channel text not null default 'carrier' check (channel in ('carrier', 'amqp')),
  add column attempts integer not null default 0,
  add column last_error text,
  add column parked_at timestamptz(3),
  -- Of a message from a queue: how often people sent it again after it was parked, and the hash of what it says.
  add column round integer not null default 0,
  add column digest text,
  alter column order_id drop not null,
  alter column fulfillment_id drop not null,
  alter column shipment_id drop not null,
  alter column kind drop not null,
  alter column at drop not null,
  drop constraint inbox_pkey,
  add primary key (channel, message_id),
  add check (channel <> 'carrier'
    or (order_id is not null and fulfillment_id is not null and shipment_id is not null and kind is not null and at is not null));
drop index inbox_undelivered;
create index inbox_undelivered on inbox ((coalesce(tried_at, received_at)))
  where delivered_at is null and parked_at is null and channel = 'carrier';
create index inbox_parked on inbox (parked_at) where parked_at is not null;
`;
