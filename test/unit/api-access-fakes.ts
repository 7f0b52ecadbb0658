import type { RunContext } from '../../src/api/route.ts';
import type { AccessDeps } from '../../src/api/access.ts';
import { type Identity, isRole } from '../../src/domain/access.ts';
import type { AuditEntry } from '../../src/domain/access-ports.ts';
import { DomainFailure } from '../../src/domain/failures.ts';

/** The token is the role, or `customer:<id>` for a customer's own. */
export function identityOf(token: string): Identity {
  const customerId = /^customer:(.+)$/.exec(token)?.[1];
  if (customerId !== undefined) return { caller: `issuer#${customerId}`, roles: [], customerId };
  if (isRole(token)) return { caller: `key:${token}`, roles: [token] };
  throw new DomainFailure('unauthenticated', 'this API key is none of ours');
}

export interface AccessFakes extends Pick<AccessDeps, 'authenticator' | 'auditLog'> {
  /** What was written into the audit log, in order. */
  readonly audited: AuditEntry[];
}

export function accessFakes(): AccessFakes {
  const audited: AuditEntry[] = [];
  return {
    audited,
    authenticator: { authenticate: (token) => Promise.resolve().then(() => identityOf(token)) },
    auditLog: {
      write: (entry) => Promise.resolve(`aud-${audited.push(entry)}`),
      list: () => Promise.resolve({ data: [], nextCursor: null }),
    },
  };
}

/** For requests that no `Send` sends. */
export const asAdmin = { headers: { authorization: 'Bearer admin' } } as const;

/** What a route is run with, by an admin whom nobody watches. */
export function runContext(): RunContext {
  const log = { info() {}, warn() {}, error() {} };
  const signal = new AbortController().signal;
  return { log, signal, identity: identityOf('admin'), auditId: 'aud-1', note() {}, audit: () => Promise.resolve() };
}
