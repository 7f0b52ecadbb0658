/** Identities and the audit log. Every method throws `DomainFailure` and nothing else on purpose. */
import type { Identity, Role } from './access.ts';

export interface Authenticator {
  /**
   * Whose `token` (what follows `Bearer `) this is. Throws `unauthenticated`, which says what is wrong and never
   * repeats the token; `store_unavailable` or `identity_unavailable` where that cannot be found out now.
   */
  authenticate(token: string): Promise<Identity>;
}

/** Tokens of an identity provider. */
export interface TokenVerifier {
  /**
   * Whose token it is: `<issuer>#<subject>`. Throws `unauthenticated`, which says what is wrong with it, and
   * `identity_unavailable` where its issuer has to be asked and does not answer.
   */
  verify(token: string): Promise<Identity>;
}

/** An API key as people see it; what it opens with is shown once, when it is made. */
export interface ApiKeyView {
  /** 12 characters of [a-z0-9], part of the key itself, so that a found key can be revoked by it. */
  readonly id: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly customerId: string | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string;
  readonly revokedAt: string | null;
  readonly revokedBy: string | null;
  /** To the hour. */
  readonly lastUsedAt: string | null;
}

export interface NewApiKey {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly customerId?: string | undefined;
  readonly validDays: number;
  /** Who makes it. */
  readonly actor: string;
}

export interface ApiKeys {
  /** `key` is nowhere else: only its SHA-256 is kept, for it has 256 random bits. Audited as `keys.create`. */
  create(key: NewApiKey): Promise<{ readonly key: string; readonly view: ApiKeyView }>;
  list(): Promise<readonly ApiKeyView[]>;
  /** Takes effect within ten seconds everywhere. Throws `not_found`. Audited as `keys.revoke`. */
  revoke(id: string, actor: string): Promise<ApiKeyView>;
  /** Undefined for one that is none of ours, is revoked or has expired. */
  find(key: string): Promise<Identity | undefined>;
  /**
   * Until the next key expires that is missed when it does: one that was used within a week. A year where there is none;
   * negative for a day after it has expired.
   */
  nextExpirySeconds(): Promise<number>;
}

export interface AuditEntry {
  readonly actor: string;
  readonly roles: readonly Role[];
  /** `operationId` of the route, or of a command: `keys.create`. */
  readonly action: string;
  readonly outcome: 'allowed' | 'denied';
  /** What it is done to: the path, without its query. */
  readonly subject: string;
  /** Why, where the caller says so. */
  readonly reason: string | null;
  readonly traceId: string | null;
}

export interface AuditRecord extends AuditEntry {
  readonly id: string;
  readonly at: string;
}

export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly outcome?: AuditEntry['outcome'] | undefined;
  readonly subject?: string | undefined;
  /** From this moment on, and before that one. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Append-only: the application's role in the database may not change or delete what is in it. */
export interface AuditLog {
  /** Resolves with the record's id once it is committed: only then is the action begun. */
  write(entry: AuditEntry): Promise<string>;
  /** Newest first. */
  list(filter: AuditFilter): Promise<{ readonly data: readonly AuditRecord[]; readonly nextCursor: string | null }>;
}
