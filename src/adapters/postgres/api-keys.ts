import { createHash, randomBytes, randomInt } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { ApiKeyView, ApiKeys, NewApiKey } from '../../domain/access-ports.ts';
import { type Identity, isRole } from '../../domain/access.ts';
import { DomainFailure } from '../../domain/failures.ts';
import { insertAudit } from './audit-log.ts';
import type { Database, Queries } from './database.ts';
import type { Tables } from './schema.ts';

type KeyRow = Selectable<Tables['api_keys']>;

/** `ek_<id>_<secret>`: the prefix is what scanners for leaked secrets look for, the id is what it is revoked by. */
const keyPattern = /^ek_([a-z0-9]{12})_([\w-]{43})$/;
const YEAR_SECONDS = 365 * 24 * 3_600;
const idLetters = 'abcdefghijklmnopqrstuvwxyz0123456789';

export function postgresApiKeys(db: Database): ApiKeys {
  return {
    create: (wanted) =>
      db.transaction(async (trx) => {
        const id = Array.from({ length: 12 }, () => idLetters[randomInt(idLetters.length)]).join('');
        const key = `ek_${id}_${randomBytes(32).toString('base64url')}`;
        await insertAudit(trx, entryOf('keys.create', wanted.actor, id));
        const row = await trx
          .insertInto('api_keys')
          .values({ id, hash: hashOf(key), ...columnsOf(wanted) })
          .returningAll()
          .executeTakeFirstOrThrow();
        return { key, view: viewOf(row) };
      }),
    list: async () => {
      const rows = await db.read((queries) =>
        queries.selectFrom('api_keys').selectAll().orderBy('created_at', 'desc').orderBy('id').execute(),
      );
      return rows.map(viewOf);
    },
    revoke: (id, actor) =>
      db.transaction(async (trx) => {
        await insertAudit(trx, entryOf('keys.revoke', actor, id));
        const row = await trx
          .updateTable('api_keys')
          // Revoked again, it stays revoked as it was.
          .set({
            revoked_at: sql<Date>`coalesce(revoked_at, clock_timestamp())`,
            revoked_by: sql<string>`coalesce(revoked_by, ${actor})`,
          })
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirst();
        if (row === undefined) throw new DomainFailure('not_found', `there is no API key ${id}`);
        return viewOf(row);
      }),
    find: async (key) => {
      if (!keyPattern.test(key)) return undefined;
      const row = await db.read(async (queries) => {
        const { rows } = await sql<Pick<KeyRow, 'id' | 'roles' | 'customer_id'> & { stale: boolean }>`
          select id, roles, customer_id,
            coalesce(last_used_at < clock_timestamp() - interval '1 hour', true) as stale
          from api_keys where hash = ${hashOf(key)} and revoked_at is null and expires_at > clock_timestamp()`.execute(
          queries,
        );
        const [found] = rows;
        if (found?.stale === true) {
          await sql`update api_keys set last_used_at = clock_timestamp() where id = ${found.id}`.execute(queries);
        }
        return found;
      });
      return row && identityOf(row);
    },
    nextExpirySeconds: () => db.read(readNextExpiry),
  };
}

async function readNextExpiry(queries: Queries): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select coalesce(extract(epoch from min(expires_at) - clock_timestamp()), ${YEAR_SECONDS})::float8 as seconds
    from api_keys
    where revoked_at is null and last_used_at > clock_timestamp() - interval '7 days'
      -- Expired, it counts for a day: long enough to be noticed by, if nobody heard before.
      and expires_at > clock_timestamp() - interval '1 day'`.execute(queries);
  const [row] = rows;
  if (row === undefined) throw new Error('an aggregate has no row');
  return row.seconds;
}

/** 256 random bits need no salt and no slow hash. */
function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function identityOf({ id, roles, customer_id }: Pick<KeyRow, 'id' | 'roles' | 'customer_id'>): Identity {
  return {
    caller: `key:${id}`,
    // A role that a newer release knows and this one does not grants nothing here.
    roles: roles.filter(isRole),
    ...(customer_id === null ? {} : { customerId: customer_id }),
  };
}

function columnsOf({ name, roles, customerId, validDays, actor }: NewApiKey) {
  return {
    name,
    roles: [...roles],
    customer_id: customerId ?? null,
    created_by: actor,
    expires_at: sql<Date>`clock_timestamp() + make_interval(days => ${validDays})`,
  };
}

function entryOf(action: string, actor: string, id: string) {
  return { action, actor, roles: [], outcome: 'allowed', subject: `keys/${id}`, reason: null, traceId: null } as const;
}

function viewOf(row: KeyRow): ApiKeyView {
  return {
    id: row.id,
    name: row.name,
    roles: row.roles,
    customerId: row.customer_id,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    expiresAt: row.expires_at.toISOString(),
    revokedAt: row.revoked_at?.toISOString() ?? null,
    revokedBy: row.revoked_by,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
  };
}
