import type { Recipients } from '../../domain/delivery-ports.ts';
import type { Database } from './database.ts';

export function postgresRecipients(db: Database): Recipients {
  return {
    async find(orderId) {
      const row = await db.read((queries) =>
        queries
          .selectFrom('orders')
          .select('email')
          .where('id', '=', orderId)
          .where('erased_at', 'is', null)
          .executeTakeFirst(),
      );
      return row?.email ?? undefined;
    },
  };
}
