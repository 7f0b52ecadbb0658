import { sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import type { Inbox, KeptMessage } from '../../domain/order-ports.ts';
import type { Database } from './database.ts';

export function postgresInbox(db: Database): Inbox {
  return {
    keep: ({ messageId, orderId, fulfillmentId, shipmentId, kind, at }) =>
      db.read(async (queries) => {
        const { rows } = await sql<{ result: KeptMessage }>`
          with ours as (
            select id, order_id, coalesce(shipment_id = ${shipmentId}, true) as present
            from fulfillments where id = ${fulfillmentId} and order_id = ${orderId}
          ), kept as (
            insert into inbox (message_id, order_id, fulfillment_id, shipment_id, kind, at, delivered_at, result)
            select ${messageId}, order_id, id, ${shipmentId}, ${kind}, ${at}::timestamptz,
              case when not present then clock_timestamp() end, case when not present then 'other_shipment' end
            from ours
            on conflict (channel, message_id) do nothing returning coalesce(result, 'kept') as result
          )
          select coalesce(kept.result, 'duplicate') as result from ours left join kept on true`.execute(queries);
        const [kept] = rows;
        if (kept === undefined) {
          throw new DomainFailure('not_found', `Order ${orderId} has no fulfillment ${fulfillmentId}.`);
        }
        return kept.result;
      }),
  };
}
