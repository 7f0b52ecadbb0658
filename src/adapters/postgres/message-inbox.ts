import { sql } from 'kysely';
import type { ArrivedMessage, MessageAttempt, MessageInbox } from '../../domain/message-ports.ts';
import type { Database } from './database.ts';

interface Known {
  readonly attempts: number;
  readonly round: number;
  readonly last_error: string | null;
  readonly order_id: string | null;
  readonly parked: boolean;
}

export function postgresMessageInbox(db: Database): MessageInbox {
  return {
    begin: (message) =>
      db.read(async (queries) => {
        const { rows } = await begin(message).execute(queries);
        const [known] = rows;
        if (known === undefined) throw new Error(`the inbox has no row for message ${message.messageId}`);
        return attemptOf(known);
      }),
    done: ({ messageId, digest }, orderId) =>
      db.read(async (queries) => {
        await sql`
          update inbox set order_id = ${orderId}, digest = ${digest}, delivered_at = clock_timestamp(),
            result = 'accepted', parked_at = null, last_error = null
          where channel = 'amqp' and message_id = ${messageId}`.execute(queries);
      }),
    // Not of one that another copy of it brought to its order meanwhile.
    failed: ({ messageId, digest }, { attempts, error }, parked) =>
      db.read(async (queries) => {
        const end = parked
          ? sql`, digest = ${digest}, attempts = ${attempts}, parked_at = clock_timestamp(),
              delivered_at = null, result = null, order_id = null`
          : sql``;
        await sql`
          update inbox set last_error = ${error} ${end}
          where channel = 'amqp' and message_id = ${messageId}
            and not (delivered_at is not null and digest = ${digest})`.execute(queries);
      }),
    ping: () => db.ping(),
  };
}

/** One statement, so that of two copies that come at the same time each is counted. */
function begin({ messageId, digest, round }: ArrivedMessage) {
  const isSettled = sql`(inbox.delivered_at is not null or inbox.parked_at is not null)`;
  const isAnew = sql`(case when excluded.digest is distinct from inbox.digest then ${isSettled}
    else excluded.round > inbox.round and inbox.delivered_at is null end)`;
  const keep = (column: string) => sql`case when ${isAnew} then null else inbox.${sql.ref(column)} end`;
  return sql<Known>`
    insert into inbox (channel, message_id, digest, round, attempts, tried_at)
    values ('amqp', ${messageId}, ${digest}, ${round}, 1, clock_timestamp())
    on conflict (channel, message_id) do update set
      attempts = case when ${isAnew} then 1 when ${isSettled} then inbox.attempts else inbox.attempts + 1 end,
      round = case when ${isAnew} then greatest(inbox.round, excluded.round) else inbox.round end,
      digest = case when ${isAnew} then excluded.digest else inbox.digest end,
      order_id = ${keep('order_id')}, delivered_at = ${keep('delivered_at')}, result = ${keep('result')},
      parked_at = ${keep('parked_at')}, last_error = ${keep('last_error')},
      tried_at = clock_timestamp()
    returning attempts, round, last_error, order_id, parked_at is not null as parked`;
}

function attemptOf({ attempts, round, last_error: lastError, order_id: orderId, parked }: Known): MessageAttempt {
  if (orderId !== null) return { kind: 'done', orderId };
  return { kind: parked ? 'parked' : 'begun', attempts, round, lastError };
}
