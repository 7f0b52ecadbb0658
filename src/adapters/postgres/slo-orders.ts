import { sql } from 'kysely';
import { syntheticPrefix } from '../../domain/objectives.ts';
import { SCREENING_UNAVAILABLE } from '../../domain/screening.ts';
import { type Pass, plus, within } from './slo-pass.ts';

/**
 * Good is an order that was confirmed, or decided by the business or its customer, before its time was over and before
 * any of its steps waited for a person. The order of its events tells what came first. A review is such a decision where
 * a rule began it; while screening could not be had, nobody decided anything.
 */
export const ordersPass: Pass = {
  name: 'orders',
  waitMs: (thresholds) => thresholds['order-processing'],
  times: sql`select created_at as at from orders`,
  verdicts: (span, thresholds) => {
    const due = plus(sql`o.created_at`, thresholds['order-processing']);
    return sql`
      select 'order-processing' as slo, ${due} as due,
        case when starts_with(o.customer_id, ${syntheticPrefix}) then 'excluded'
          when seen.decided < coalesce(seen.parked, seen.decided + 1) then 'good' else 'bad' end as verdict
      from orders o cross join lateral (
        select min(e.sequence) filter (where ${isDecision}) as decided,
          min(e.sequence) filter (where e.type = 'evenkeel.order.attention_opened.v1') as parked
        from events e where e.order_id = o.id and e.replaces is null and e.at <= ${due}
      ) seen
      where ${within(sql`o.created_at`, span)}`;
  },
};

/** What ended an order is never changed again. What was given up, nobody but an outage decided. */
const isDecision = sql`(e.type = 'evenkeel.order.confirmed.v1'
  or e.type = 'evenkeel.order.review_started.v1'
    and (e.body::jsonb -> 'data' ->> 'reason') is distinct from ${SCREENING_UNAVAILABLE}
  or e.type = 'evenkeel.order.rejected.v1' and coalesce(o.reason, '') not like 'given\\_up%'
  or e.type = 'evenkeel.order.cancelled.v1' and coalesce(o.reason, '') not like 'given\\_up%'
    and o.cancel_requested_at is not null)`;

/** Read row by row: a round has few attentions, and a join might read all orders for them. */
const isOfSyntheticOrder = sql`
  (select starts_with(o.customer_id, ${syntheticPrefix}) from orders o where o.id = attentions.order_id)`;

/** Closed in time: by a decision, or by itself, and then nobody was needed. */
export const closedAttentionsPass: Pass = {
  name: 'attentions-closed',
  waitMs: () => 0,
  times: sql`select closed_at as at from attentions where closed_at is not null`,
  verdicts: (span, thresholds) => sql`
    select 'human-decision' as slo, closed_at as due,
      case when closed_how ->> 'by' = 'decision' and not ${isOfSyntheticOrder} then 'good' else 'excluded' end as verdict
    from attentions
    where ${within(sql`closed_at`, span)} and closed_at <= ${plus(sql`opened_at`, thresholds['human-decision'])}`,
};

/** Those that nobody closed in time. */
export const overdueAttentionsPass: Pass = {
  name: 'attentions-overdue',
  waitMs: (thresholds) => thresholds['human-decision'],
  times: sql`select opened_at as at from attentions`,
  verdicts: (span, thresholds) => {
    const due = plus(sql`opened_at`, thresholds['human-decision']);
    return sql`
      select 'human-decision' as slo, ${due} as due,
        case when ${isOfSyntheticOrder} then 'excluded' else 'bad' end as verdict
      from attentions
      where ${within(sql`opened_at`, span)} and coalesce(closed_at > ${due}, true)`;
  },
};
