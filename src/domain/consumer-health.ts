/** How a consumer does, by what its deliveries came to: when trouble begins. Pure; see consumer-trouble.ts for its end. */
import type { ConsumerMode } from './consumers.ts';

export interface ConsumerHealth {
  readonly mode: ConsumerMode;
  /** Rises by one with each trouble: what was decided for one does nothing to the next. */
  readonly epoch: number;
  /** Orders whose deliveries failed since the last success, each once; no more than count. */
  readonly failingOrders: readonly string[];
  /** Failures to reach it, or to be answered in time, since the last success. */
  readonly connectionFailures: number;
  /** All failures since the last success, of whatever orders; no more than count. */
  readonly failures: number;
  /** Since the last failure; counted in trouble only. */
  readonly successes: number;
  /** How often trouble came back while it was being overcome. */
  readonly relapses: number;
  /** The last failure's cause, for a person. */
  readonly reason: string | null;
}

/** One attempt's word on the consumer, in the order in which they ended. */
export type Word =
  | { readonly says: 'works' }
  | {
      readonly says: 'fails';
      readonly orderId: string;
      readonly blames: 'answer' | 'connection';
      readonly reason: string;
    };

/** One order alone may have a poison event; several without a success between them point at the consumer. */
export const TROUBLE_ORDERS = 3;
/** One connection breaks now and then. */
export const TROUBLE_CONNECTIONS = 2;
/**
 * However few orders wait: a consumer that is sent one event alone, and fails it for minutes, may fail all. Fewer than
 * the strikes that kill an event, or an outage kills those of a quiet consumer.
 */
export const TROUBLE_FAILURES = 6;

export const healthy: ConsumerHealth = {
  mode: 'normal',
  epoch: 0,
  failingOrders: [],
  connectionFailures: 0,
  failures: 0,
  successes: 0,
  relapses: 0,
  reason: null,
};

/** Whether a success would change it: if not, nobody need write it down. */
export function isClean({ mode, failures }: ConsumerHealth): boolean {
  return mode === 'normal' && failures === 0;
}

/** The health after one more attempt. Trouble begins here, and comes back here; only a decision ends it. */
export function hear(health: ConsumerHealth, word: Word): ConsumerHealth {
  if (word.says === 'works') {
    const inTrouble = health.mode !== 'normal';
    return {
      ...health,
      failingOrders: [],
      connectionFailures: 0,
      failures: 0,
      successes: inTrouble ? health.successes + 1 : 0,
      reason: inTrouble ? health.reason : null,
    };
  }
  const { orderId, blames, reason } = word;
  const failing = health.failingOrders;
  const next: ConsumerHealth = {
    ...health,
    successes: 0,
    reason,
    failingOrders: failing.includes(orderId) || failing.length >= TROUBLE_ORDERS ? failing : [...failing, orderId],
    connectionFailures: Math.min(TROUBLE_CONNECTIONS, health.connectionFailures + (blames === 'connection' ? 1 : 0)),
    failures: Math.min(TROUBLE_FAILURES, health.failures + 1),
  };
  const isTrouble =
    next.failingOrders.length >= TROUBLE_ORDERS ||
    next.connectionFailures >= TROUBLE_CONNECTIONS ||
    next.failures >= TROUBLE_FAILURES;
  if (!isTrouble || health.mode === 'probing') return next;
  return health.mode === 'normal'
    ? { ...next, mode: 'probing', epoch: health.epoch + 1, relapses: 0 }
    : { ...next, mode: 'probing', relapses: health.relapses + 1 };
}
