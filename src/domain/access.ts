/** Who may do what: roles, what each allows, and the identity that a request was proved to come from. */

export const permissions = [
  'orders:read',
  'orders:submit',
  'orders:cancel',
  'orders:decide',
  'events:read',
  'consumers:read',
  'consumers:write',
  'dead-letters:read',
  'dead-letters:write',
  'catalog:read',
  'catalog:write',
  'operations:read',
  'breakers:write',
  'audit:read',
  'customers:erase',
  'payloads:decode',
] as const;
export type Permission = (typeof permissions)[number];

const reads = [
  'orders:read',
  'events:read',
  'consumers:read',
  'dead-letters:read',
  'catalog:read',
  'operations:read',
] as const satisfies readonly Permission[];

/**
 * - `read-only`: looks at everything but the audit log and decoded payloads
 * - `shop`: the shop's own back end: sells, cancels, keeps catalogue and stock
 * - `customer-service`: helps customers: cancels orders and decides about those that wait for a person
 * - `operator`: is on call: what customer service may do, and consumers, dead letters, breakers
 * - `admin`: everything
 */
const granted = {
  'read-only': reads,
  shop: ['orders:read', 'orders:submit', 'orders:cancel', 'events:read', 'catalog:read', 'catalog:write'],
  'customer-service': ['orders:read', 'orders:submit', 'orders:cancel', 'orders:decide', 'events:read', 'catalog:read'],
  operator: [
    ...reads,
    'orders:cancel',
    'orders:decide',
    'consumers:write',
    'dead-letters:write',
    'catalog:write',
    'breakers:write',
    'payloads:decode',
  ],
  admin: permissions,
} as const satisfies Readonly<Record<string, readonly Permission[]>>;

export type Role = keyof typeof granted;
export const roles = Object.keys(granted) as readonly Role[];

/** What a customer's own token may do, and with its own orders only, whatever roles it names. */
const ownOnly: ReadonlySet<Permission> = new Set(['orders:read', 'orders:submit', 'orders:cancel', 'catalog:read']);

/** Whom a request was proved to come from. */
export interface Identity {
  /**
   * Stable, never reused: `key:<id>`, or `<issuer>#<subject>` of a token. Idempotency keys, rates and the audit log
   * count by it.
   */
  readonly caller: string;
  readonly roles: readonly Role[];
  /** Set: it is this customer's own, and sees and touches nobody else's orders. */
  readonly customerId?: string | undefined;
}

export function isRole(text: string): text is Role {
  return Object.hasOwn(granted, text);
}

/** Default deny: what no role of it grants is not allowed. */
export function may({ roles: own, customerId }: Identity, permission: Permission): boolean {
  if (customerId !== undefined) return ownOnly.has(permission);
  return own.some((role) => (granted[role] as readonly Permission[]).includes(permission));
}

/** Whether the order of that customer exists for this identity at all: others' are as if they were not there. */
export function mayKnow({ customerId }: Identity, order: { readonly customerId: string }): boolean {
  return customerId === undefined || customerId === order.customerId;
}
