/**
 * What gauges are read by, so that looking costs as little after a million orders as after ten. Each index holds few
 * rows, or one for each order or line: an order's way has some sixty others to write.
 */
export const factsMigration = {
  up: (): Promise<void> => Promise.resolve(),
  indexes: {
    orders_ended: 'orders (finished_at) where finished_at is not null',
    orders_undone: "orders (finished_at) where status in ('cancelled', 'rejected')",
    // Apart from effects_unsettled, which keeps for ever what never happened.
    effects_unanswered_payments: `effects (requested_at) where requested_at is not null and outcome is null
      and kind in ('authorize', 'capture', 'void', 'refund')`,
    reservations_held: "reservations (sku, location) include (quantity) where state = 'reserved'",
    deliveries_dead_by_cause: "deliveries (cause) where status = 'dead'",
    // The oldest that waits, however many wait with it.
    deliveries_oldest: "deliveries (consumer_id, created_at) where status = 'pending' and not is_late",
  },
};
