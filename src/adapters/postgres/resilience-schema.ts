import type { Generated } from 'kysely';
import type { Role } from '../../domain/access.ts';
import type { BreakerName, BreakerState, ForcedState } from '../../domain/breakers.ts';

/** The tables of migration 0005. */
export interface ResilienceTables {
  api_keys: {
    id: string;
    name: string;
    hash: Buffer;
    roles: Role[];
    customer_id: string | null;
    created_at: Generated<Date>;
    created_by: string;
    expires_at: Date;
    revoked_at: Date | null;
    revoked_by: string | null;
    last_used_at: Date | null;
  };
  audit_log: {
    id: string;
    at: Generated<Date>;
    actor: string;
    roles: Role[];
    action: string;
    outcome: 'allowed' | 'denied';
    subject: string;
    reason: string | null;
    trace_id: string | null;
  };
  breaker_forcings: {
    name: BreakerName;
    state: Exclude<ForcedState, 'auto'>;
    reason: string;
    actor: string;
    audit_id: string;
    at: Generated<Date>;
  };
  breaker_reports: {
    name: BreakerName;
    worker: string;
    state: BreakerState;
    since: Date;
    calls: number;
    failures: number;
    told_at: Generated<Date>;
  };
  breaker_transitions: {
    id: Generated<number>;
    name: BreakerName;
    worker: string;
    at: Date;
    from_state: BreakerState;
    to_state: BreakerState;
    cause: string;
  };
  rates: { caller: string; tokens: number; leased: Generated<number>; filled_at: Generated<Date> };
  payment_routes: {
    key: string;
    provider: string;
    order_id: string;
    sent_at: Generated<Date>;
    attempts: string[];
    cleared_at: Date | null;
    look_again_at: Date | null;
  };
  shipping_rates: {
    country: string;
    items: number;
    currency: string;
    amount_minor: number;
    quoted_at: Generated<Date>;
  };
  erasures: {
    id: string;
    customer_hash: string;
    orders: number;
    audit_id: string;
    actor: string;
    reason: string;
    at: Generated<Date>;
  };
}
