import { type Kysely, sql } from 'kysely';

/**
 * Everything that an order's way needs. Times are timestamptz(3), the precision of a JavaScript Date, so that a time
 * that was read compares equal to the one that is stored. Ids compare byte by byte (COLLATE "C").
 */
export const ordersMigration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(tables).execute(db);
    await sql.raw(ledgers).execute(db);
  },
};

const tables = `
create table catalog (
  sku text collate "C" primary key,
  description text not null,
  price_minor bigint not null check (price_minor >= 0),
  currency text not null,
  updated_at timestamptz(3) not null default clock_timestamp()
);

create table stock (
  sku text collate "C" not null references catalog,
  location text collate "C" not null,
  on_hand bigint not null check (on_hand >= 0),
  reserved bigint not null default 0 check (reserved >= 0),
  primary key (sku, location),
  constraint stock_covers_reserved check (on_hand >= reserved)
);

create table orders (
  id text collate "C" primary key,
  caller text not null,
  idempotency_key text not null,
  body_hash text not null,
  customer_id text not null,
  currency text not null,
  total_minor bigint not null check (total_minor > 0),
  payment_token text not null,
  shipping_address jsonb not null,
  status text not null default 'received' check (status in
    ('received', 'in_review', 'confirmed', 'fulfilling', 'completed', 'partially_completed', 'cancelled', 'rejected')),
  reason text,
  version integer not null default 1,
  event_sequence integer not null default 0,
  incarnation integer not null default 0,
  created_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  confirmed_at timestamptz(3),
  finished_at timestamptz(3),
  started_at timestamptz(3),
  start_tried_at timestamptz(3),
  cancel_requested_at timestamptz(3),
  cancel_reason text,
  cancel_tried_at timestamptz(3),
  cancel_delivered_at timestamptz(3),
  looked_at timestamptz(3),
  constraint orders_caller_key unique (caller, idempotency_key)
);
create index orders_newest on orders (created_at desc, id desc);
create index orders_by_status on orders (status, created_at desc, id desc);
create index orders_by_customer on orders (customer_id, created_at desc, id desc);
create index orders_unstarted on orders ((coalesce(start_tried_at, created_at)))
  where started_at is null and finished_at is null;
create index orders_uncancelled on orders ((coalesce(cancel_tried_at, cancel_requested_at)))
  where cancel_requested_at is not null and cancel_delivered_at is null and finished_at is null;
create index orders_idle on orders ((coalesce(looked_at, updated_at))) where finished_at is null;

create table order_lines (
  order_id text collate "C" not null references orders,
  line_no integer not null,
  sku text collate "C" not null,
  description text not null,
  quantity bigint not null check (quantity > 0),
  unit_price_minor bigint not null check (unit_price_minor >= 0),
  total_minor bigint not null check (total_minor >= 0),
  primary key (order_id, line_no)
);

create table idempotency_answers (
  caller text not null,
  route text not null,
  key text not null,
  body_hash text not null,
  order_id text collate "C" not null references orders,
  answer text not null,
  created_at timestamptz(3) not null default clock_timestamp(),
  primary key (caller, route, key)
);
create index idempotency_answers_oldest on idempotency_answers (created_at);

create table fulfillments (
  id text collate "C" primary key,
  order_id text collate "C" not null references orders,
  ordinal integer not null,
  reserve_key text collate "C" not null,
  location text not null,
  status text not null default 'pending' check (status in
    ('pending', 'booked', 'dispatched', 'delivered', 'cancelled', 'failed')),
  amount_minor bigint not null check (amount_minor >= 0),
  shipment_id text,
  tracking_number text,
  booked_at timestamptz(3),
  dispatched_at timestamptz(3),
  delivered_at timestamptz(3),
  unique (order_id, ordinal)
);

create table reservations (
  fulfillment_id text collate "C" not null references fulfillments,
  line_no integer not null,
  order_id text collate "C" not null,
  sku text collate "C" not null,
  location text collate "C" not null,
  quantity bigint not null check (quantity > 0),
  state text not null default 'reserved' check (state in ('reserved', 'dispatched', 'released')),
  primary key (fulfillment_id, line_no),
  foreign key (order_id, line_no) references order_lines
);

create table attentions (
  order_id text collate "C" not null references orders,
  id text collate "C" not null,
  step text not null,
  fulfillment_id text collate "C",
  reason text not null,
  allowed jsonb not null,
  opened_at timestamptz(3) not null,
  closed_at timestamptz(3),
  closed_how jsonb,
  primary key (order_id, id)
);
create index attentions_open on attentions (order_id, opened_at) where closed_at is null;

create table decisions (
  id text collate "C" primary key,
  order_id text collate "C" not null,
  attention_id text collate "C" not null,
  action text not null,
  actor text not null,
  reason text not null,
  correction jsonb,
  created_at timestamptz(3) not null,
  settled_at timestamptz(3),
  result text check (result in ('accepted', 'refused')),
  detail text,
  foreign key (order_id, attention_id) references attentions
);
create index decisions_by_order on decisions (order_id, created_at);

create table inbox (
  message_id text collate "C" primary key,
  order_id text collate "C" not null references orders,
  fulfillment_id text collate "C" not null references fulfillments,
  shipment_id text not null,
  kind text not null check (kind in ('dispatched', 'delivered')),
  at timestamptz(3) not null,
  received_at timestamptz(3) not null default clock_timestamp(),
  tried_at timestamptz(3),
  delivered_at timestamptz(3),
  result text check (result in ('accepted', 'closed', 'other_shipment'))
);
create index inbox_undelivered on inbox ((coalesce(tried_at, received_at))) where delivered_at is null;
create index inbox_by_order on inbox (order_id);
`;

const ledgers = `
create table steps (
  key text collate "C" primary key,
  order_id text collate "C" not null references orders,
  result jsonb,
  settled_at timestamptz(3),
  tombstoned_at timestamptz(3)
);

create table effects (
  key text collate "C" primary key,
  order_id text collate "C" not null references orders,
  kind text not null check (kind in ('authorize', 'capture', 'void', 'refund', 'book', 'cancel_shipment')),
  fulfillment_id text collate "C",
  input jsonb,
  outcome jsonb,
  requested_at timestamptz(3),
  settled_at timestamptz(3),
  tombstoned_at timestamptz(3),
  -- When its own undo succeeded.
  undone_at timestamptz(3),
  looked_at timestamptz(3),
  check ((input is null) = (requested_at is null)),
  check ((outcome is null) = (settled_at is null))
);
create index effects_unsettled on effects ((coalesce(looked_at, requested_at)))
  where requested_at is not null and (outcome is null or outcome ->> 'outcome' = 'never_happened');
create index effects_strays on effects (settled_at)
  where tombstoned_at is not null and undone_at is null and settled_at > tombstoned_at
    and outcome ->> 'outcome' in ('authorized', 'captured', 'booked');
create index effects_by_order on effects (order_id);

create table payment_entries (
  id bigint generated always as identity primary key,
  order_id text collate "C" not null references orders,
  key text collate "C" not null,
  operation text not null check (operation in ('authorize', 'capture', 'void', 'refund')),
  phase text not null check (phase in ('request', 'success', 'failure')),
  amount_minor bigint not null check (amount_minor >= 0),
  currency text not null,
  provider_ref text,
  code text,
  at timestamptz(3) not null
);
-- One request and one answer of the provider per key. That it 'never_happened' is our own finding: the provider's
-- answer may still follow it, once.
create unique index payment_entries_request on payment_entries (key) where phase = 'request';
create unique index payment_entries_answer on payment_entries (key)
  where phase <> 'request' and code is distinct from 'never_happened';
create unique index payment_entries_never_happened on payment_entries (key) where code = 'never_happened';
create index payment_entries_by_order on payment_entries (order_id, id);

create table events (
  id text collate "C" primary key,
  order_id text collate "C" not null references orders,
  sequence integer not null,
  type text not null,
  at timestamptz(3) not null,
  -- The envelope's exact bytes, as they are signed and sent.
  body text not null,
  unique (order_id, sequence)
);

create function refuse_rewriting() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger append_only before update or delete on events
  for each row execute function refuse_rewriting();
create trigger append_only before update or delete on payment_entries
  for each row execute function refuse_rewriting();
`;
