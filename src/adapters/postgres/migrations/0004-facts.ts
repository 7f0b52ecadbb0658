import { type Kysely, sql } from 'kysely';

/**
 * What gauges are read by, so that looking costs as little after a million orders as after ten. Each index holds few
 * rows, or one for each order or line: an order's way has some sixty others to write.
 */
export const factsMigration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(indexes).execute(db);
  },
};

const indexes = `
create index orders_ended on orders (finished_at) where finished_at is not null;
create index orders_undone on orders (finished_at) where status in ('cancelled', 'rejected');
-- Apart from effects_unsettled, which keeps for ever what never happened.
create index effects_unanswered_payments on effects (requested_at)
  where requested_at is not null and outcome is null and kind in ('authorize', 'capture', 'void', 'refund');
create index reservations_held on reservations (sku, location) include (quantity) where state = 'reserved';
create index deliveries_dead_by_cause on deliveries (cause) where status = 'dead';
`;
