import { postgresCatalog } from '../../src/adapters/postgres/catalog.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresEffects } from '../../src/adapters/postgres/effects.ts';
import { postgresInbox } from '../../src/adapters/postgres/inbox.ts';
import { postgresIntake } from '../../src/adapters/postgres/intake.ts';
import { postgresOrders } from '../../src/adapters/postgres/orders.ts';
import { postgresOutstanding } from '../../src/adapters/postgres/outstanding.ts';
import { postgresRequests } from '../../src/adapters/postgres/requests.ts';
import { postgresScreening } from '../../src/adapters/postgres/screening.ts';
import { postgresStock } from '../../src/adapters/postgres/stock.ts';
import { postgresViews } from '../../src/adapters/postgres/views.ts';
import { testDatabase } from './postgres.ts';
import { screeningRules } from './store-conformance.ts';
import type { Stores } from './store-conformance/shop.ts';

export function postgresStores(db: Database): Stores {
  return {
    screening: postgresScreening(db, screeningRules),
    stock: postgresStock(db),
    orders: postgresOrders(db),
    effects: postgresEffects(db),
    intake: postgresIntake(db),
    views: postgresViews(db),
    catalog: postgresCatalog(db),
    requests: postgresRequests(db),
    inbox: postgresInbox(db),
    outstanding: postgresOutstanding(db),
  };
}

/** All stores over a database of their own. */
export async function newPostgresStores() {
  const { url, drop } = await testDatabase();
  const db = connect(url, { pool: 12, traceparent: () => undefined });
  return {
    db,
    url,
    stores: postgresStores(db),
    stop: async () => {
      await db.destroy();
      await drop();
    },
  };
}
