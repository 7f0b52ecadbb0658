import { newPostgresStores } from '../support/postgres-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';

storeConformance('PostgreSQL', newPostgresStores);
