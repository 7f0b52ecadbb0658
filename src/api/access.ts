import type { AuditEntry, AuditLog, Authenticator } from '../domain/access-ports.ts';
import { type Identity, may } from '../domain/access.ts';
import { DomainFailure } from '../domain/failures.ts';
import type { Admission, Priority, RateLimits, Verdict } from '../domain/overload-ports.ts';
import { ApiProblem, type ProblemCode } from './problems.ts';
import { type Route, nobody } from './route.ts';

/** All that stands between a request and its route. */
export interface AccessDeps {
  readonly authenticator: Authenticator;
  readonly auditLog: AuditLog;
  /** Absent: nobody is limited. */
  readonly limits?: RateLimits;
  /** Absent: nothing is shed. */
  readonly admission?: Admission;
  /** Told how each request came to its route, or did not. */
  readonly authenticated?: (outcome: AccessOutcome) => void;
  /** Told of what is refused so that the rest meets its objective. */
  readonly refused?: (by: { readonly shed: Priority } | { readonly limited: 'caller' | 'unauthenticated' }) => void;
}

export type AccessOutcome = 'allowed' | 'denied' | 'unauthenticated' | 'unavailable';

export interface Caller {
  /** The value of the header `Authorization`. */
  readonly authorization: string | undefined;
  /** Of the other end of the connection. */
  readonly address: string;
  /** Without its query. */
  readonly path: string;
  readonly traceId: string | null;
}

/**
 * Whom a request comes from, and that it may use the route now; asked before anything of its body is read. Throws
 * `unauthenticated`, `forbidden`, `rate_limited`, `overloaded`, or what kept it from finding out. What is denied of an
 * audited route is in the audit log before this throws.
 */
export async function requireAccess(deps: AccessDeps, route: Route, caller: Caller): Promise<Identity> {
  const { access } = route;
  if (access === 'public' || access === 'signed') return nobody;
  const identity = await identify(deps, caller);
  requireVerdict(await deps.limits?.take(identity.caller), 'rate_limited', () => {
    deps.refused?.({ limited: 'caller' });
    return 'this caller asks more often than it may; come back after Retry-After';
  });
  if (!may(identity, access)) {
    deps.authenticated?.('denied');
    if (route.audited === true) {
      await deps.auditLog.write({ ...entryOf(route, caller, identity), outcome: 'denied', reason: null });
    }
    throw new DomainFailure(
      'forbidden',
      `${identity.caller} lacks the permission ${access}; an admin can give a role that has it`,
    );
  }
  deps.authenticated?.('allowed');
  const priority = priorityOf(route, identity);
  requireVerdict(deps.admission?.admit(priority), 'overloaded', () => {
    deps.refused?.({ shed: priority });
    return 'more orders wait than can be processed in time; nothing was done, come back after Retry-After';
  });
  return identity;
}

/** What is written before an audited action is begun. */
export function entryOf(
  { operationId }: Pick<Route, 'operationId'>,
  { path, traceId }: Caller,
  { caller: actor, roles }: Identity,
): Omit<AuditEntry, 'outcome' | 'reason'> {
  return { actor, roles, action: operationId, subject: normalized(path), traceId };
}

/**
 * One spelling for one path (RFC 3986, 6.2.2; ids in small letters): what is looked for in the log is found however it
 * was asked for, and the record of a decision is known to be of its order.
 */
function normalized(path: string): string {
  const decoded = path.replace(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCodePoint(Number.parseInt(escaped.slice(1), 16));
    return /[\w.~!$&'()*+,;=:@-]/.test(character) ? character : escaped.toUpperCase();
  });
  return decoded.replace(/(?<=\/)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\/|$)/gi, (id) => id.toLowerCase());
}

/** Who is to mend what is overloaded must see it. */
export function priorityOf({ method, access, audited = false, priority }: Route, identity: Identity): Priority {
  if (priority !== undefined) return priority;
  if (audited || access === 'public' || access === 'signed') return 'critical';
  if (method !== 'get') return 'normal';
  return may(identity, 'breakers:write') ? 'critical' : 'background';
}

async function identify(deps: AccessDeps, { authorization, address }: Caller): Promise<Identity> {
  const token = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization ?? '')?.[1];
  try {
    if (token === undefined) throw new DomainFailure('unauthenticated', howTo(authorization));
    requireVerdict(deps.limits?.mayTry(address), 'rate_limited', () => {
      deps.refused?.({ limited: 'unauthenticated' });
      return 'too many attempts from this address have failed; come back after Retry-After';
    });
    return await deps.authenticator.authenticate(token);
  } catch (error) {
    if (!(error instanceof DomainFailure)) throw error;
    if (error.code !== 'unauthenticated') {
      deps.authenticated?.('unavailable');
      throw error;
    }
    deps.authenticated?.('unauthenticated');
    // Without a token nothing was guessed at.
    if (token !== undefined) deps.limits?.failed(address);
    // RFC 6750, section 3.
    const challenge = token === undefined ? 'Bearer' : 'Bearer error="invalid_token"';
    throw new ApiProblem('unauthenticated', error.message, {
      headers: { 'www-authenticate': challenge },
      cause: error,
    });
  }
}

function howTo(authorization: string | undefined): string {
  const wrong =
    authorization === undefined ? 'the header Authorization is missing' : 'the header Authorization is not `Bearer …`';
  return `${wrong}; send 'Authorization: Bearer <API key>'. 'evenkeel keys create' makes one`;
}

function requireVerdict(verdict: Verdict | undefined, code: ProblemCode, refused: () => string): void {
  if (verdict === undefined || verdict.allowed) return;
  const seconds = Math.max(1, Math.ceil(verdict.retryAfterMs / 1000));
  throw new ApiProblem(code, refused(), { headers: { 'retry-after': String(seconds) } });
}
