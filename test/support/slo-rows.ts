/** A history as rows, with the times that it has. */
import type { Client } from 'pg';
import type { History } from './slo-histories.ts';

/** Writes it all, past every rule: `client` is a superuser with `session_replication_role = replica`. */
export async function writeHistory(client: Client, history: History): Promise<void> {
  const insert = async (into: string, select: string, rows: readonly object[], columns: string): Promise<void> => {
    await client.query(`insert into ${into} select ${select} from jsonb_to_recordset($1::jsonb) as r (${columns})`, [
      JSON.stringify(rows),
    ]);
  };
  const time = (name: string): string => `to_timestamp(r."${name}" / 1000.0)`;
  await insert(
    'consumers (id, name, target, types, like_types, max_in_flight, state, state_since, secret, created_at)',
    `r.id, 'name of ' || r.id, '{}', '[]', '{}', r."maxInFlight", 'enabled', now(), 's', now() - interval '3 hours'`,
    history.consumers,
    'id text, "maxInFlight" int',
  );
  await insert(
    'consumer_health (consumer_id, mode, failed_at, throttled_until)',
    `r.id, r.mode, ${time('failedAt')}, ${time('throttledUntil')}`,
    history.consumers,
    'id text, mode text, "failedAt" float8, "throttledUntil" float8',
  );
  await insert(
    'consumer_changes (id, consumer_id, at, action, actor, types, state) overriding system value',
    `r.id, r."consumerId", ${time('at')}, r.action, 'test', case when not r."isDeleted" then '[]'::jsonb end, r.state`,
    history.consumers.flatMap(({ id, changes }) => changes.map((change) => ({ ...change, consumerId: id }))),
    'id bigint, "consumerId" text, at float8, action text, state text, "isDeleted" boolean',
  );
  await insert(
    'orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token, shipping_address, status, reason, created_at, updated_at, cancel_requested_at)',
    `r.id, 'default', r.id, 'hash', 'c1', 'EUR', 100, 'tok', '{}', r.status, r.reason, ${time('at')}, ${time('at')}, ${time('cancelRequestedAt')}`,
    history.orders,
    'id text, at float8, status text, reason text, "cancelRequestedAt" float8',
  );
  await insert(
    'events (id, order_id, sequence, type, at, body, replaces)',
    `r.id, r."orderId", r.sequence, r.type, ${time('at')}, '{}', r.replaces`,
    history.events,
    'id text, "orderId" text, sequence int, type text, at float8, replaces text',
  );
  await insert(
    'attentions (order_id, id, step, reason, allowed, opened_at, closed_at, closed_how)',
    `r."orderId", r.id, 'authorize', 'away', '[]', ${time('openedAt')}, ${time('closedAt')},
      case when r."closedAt" is not null then jsonb_build_object('by', r.by) end`,
    history.attentions,
    'id text, "orderId" text, "openedAt" float8, "closedAt" float8, by text',
  );
  await insert(
    'deliveries (id, event_id, consumer_id, order_id, sequence, status, is_late, attempts, created_at, first_attempt_at, next_attempt_at, token, settled_at, cause) overriding system value',
    `r.id, r."eventId", r."consumerId", r."orderId", r.sequence, r.status,
      r."deadSince" is not null and r.status not in ('replaced', 'discarded') or r."eventId" not in (r."orderId" || '-' || r.sequence),
      1, ${time('at')}, ${time('firstAttemptAt')}, case when r."isHeldBack" then now() + interval '1 day' else coalesce(${time('leaseUntil')}, now()) end,
      case when r."leaseUntil" is not null then 'token' end, ${time('settledAt')}, case r.status when 'dead' then 'http_500' end`,
    history.deliveries,
    `id bigint, "eventId" text, "orderId" text, sequence int, "consumerId" text, at float8, status text,
      "firstAttemptAt" float8, "settledAt" float8, "deadSince" float8, "leaseUntil" float8, "isHeldBack" boolean`,
  );
  await insert(
    'dead_letter_actions (delivery_id, at, action, actor, cause, dead_since)',
    `r.id, now(), case r.status when 'discarded' then 'discard' else 'retry' end, 'test', 'http_500', ${time('deadSince')}`,
    history.deliveries.filter(({ deadSince }) => deadSince !== null),
    'id bigint, status text, "deadSince" float8',
  );
  await insert(
    'attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, cause, relay)',
    `r."deliveryId", r."consumerId", ${time('startedAt')}, r."durationMs",
      case when r.cause is null then 'delivered' else 'failed' end, r.cause, 'relay'`,
    history.attempts,
    '"deliveryId" bigint, "consumerId" text, "startedAt" float8, "durationMs" int, cause text',
  );
}
