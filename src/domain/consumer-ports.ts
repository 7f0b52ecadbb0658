/** Consumers, events, dead letters and redrives, as people see and change them. All throw `DomainFailure` only. */
import type { ConsumerMode, ConsumerState, ConsumerTarget } from './consumers.ts';
import type { DeadCause, FailureCause } from './delivery.ts';
import type { Destination } from './delivery-ports.ts';
import type { EventData } from './events.ts';
import type { Idempotency } from './order-ports.ts';

export interface Page<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
}

/** Which page; the cursor is opaque, from the page before. Throws `invalid_input` if it is none of ours. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Who does it and why; kept with what was done. */
export interface Audit {
  readonly actor: string;
  readonly reason: string | null;
}

/** What became of a request that creates something under an idempotency key. */
export type Created<T> =
  | { readonly kind: 'created'; readonly value: T }
  /** The first answer, byte for byte. */
  | { readonly kind: 'replayed'; readonly answer: string };

export interface NewConsumer {
  readonly name: string;
  readonly target: ConsumerTarget;
  /** Patterns; see `matchesType`. */
  readonly types: readonly string[];
  /** Only events whose envelope contains this (as PostgreSQL's `@>` on jsonb does); null: all. */
  readonly filter: EventData | null;
  readonly maxInFlight: number;
  readonly enabled: boolean;
}

export interface ConsumerView extends Omit<NewConsumer, 'enabled'> {
  readonly id: string;
  readonly state: ConsumerState;
  /** Why it is paused or disabled; null while it is enabled. */
  readonly stateReason: string | null;
  readonly stateSince: string;
  readonly version: number;
  readonly createdAt: string;
  /** Until when deliveries are signed with the former secret too; null where there is none. */
  readonly formerSecretValidUntil: string | null;
}

/** With the secret, which is shown when it is made and never again. */
export interface ConsumerWithSecret extends ConsumerView {
  readonly secret: string;
}

export interface ConsumerHealthView {
  readonly mode: ConsumerMode;
  /** Null while there is none. */
  readonly trouble: { readonly since: string; readonly reason: string; readonly epoch: number } | null;
  readonly throttledUntil: string | null;
  /** Deliveries that wait, those under way included. */
  readonly backlog: number;
  /** Of these, the age of the oldest event, in seconds; 0 for none. */
  readonly lagSeconds: number;
  readonly deadLetters: number;
  readonly lastHour: { readonly attempts: number; readonly successes: number; readonly successRate: number | null };
  readonly lastSuccessAt: string | null;
  /** Newest first, five at most. */
  readonly lastFailures: readonly {
    readonly at: string;
    readonly eventId: string;
    readonly cause: FailureCause;
    readonly status: number | null;
    readonly error: string | null;
  }[];
}

export interface ConsumerDetails extends ConsumerView {
  readonly health: ConsumerHealthView;
}

export interface ConsumerChange {
  readonly name?: string | undefined;
  readonly target?: ConsumerTarget | undefined;
  readonly types?: readonly string[] | undefined;
  readonly filter?: EventData | null | undefined;
  readonly maxInFlight?: number | undefined;
  /** Back from `disabled` with deliveries held, it is sent them as one that recovers, not all at once. */
  readonly state?: ConsumerState | undefined;
}

/** Every change is kept with who made it, when and why. Those that name a consumer throw `not_found`. */
export interface Consumers {
  /** Gets every event that matches from its commit on. Throws `idempotency_key_reused`, `idempotency_in_progress`. */
  create(consumer: NewConsumer, idempotency: Idempotency, audit: Audit): Promise<Created<ConsumerWithSecret>>;
  list(page: PageRequest): Promise<Page<ConsumerView>>;
  find(id: string): Promise<ConsumerDetails | undefined>;
  /** Throws `version_mismatch` where a version is expected and it is another. */
  change(id: string, change: ConsumerChange, expectedVersion: number | undefined, audit: Audit): Promise<ConsumerView>;
  /**
   * A new secret; the former one stays valid beside it for 24 h, and the one before that no longer. Throws
   * `version_mismatch` as `change` does: a repeat would take away the secret that is still in use.
   */
  rotateSecret(id: string, audit: Audit, expectedVersion?: number): Promise<ConsumerWithSecret>;
  /** Deletes it; what is pending becomes dead letters with the cause `consumer_deleted`. */
  remove(id: string, audit: Audit): Promise<void>;
  /** Where to send to, for a ping. */
  destination(id: string): Promise<Destination>;
}

export interface EventView {
  readonly id: string;
  readonly type: string;
  readonly orderId: string;
  readonly sequence: number;
  readonly at: string;
  readonly replaces: string | null;
  /** The envelope, as it was sent. */
  readonly envelope: Readonly<Record<string, unknown>>;
}

/** `replaced`: a corrected event was made in its stead. `discarded`: a person decided that nobody needs it. */
export const deliveryStatuses = ['pending', 'delivered', 'dead', 'replaced', 'discarded'] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

export interface AttemptView {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly outcome: 'delivered' | 'failed';
  readonly cause: FailureCause | null;
  readonly status: number | null;
  readonly answer: string | null;
  readonly error: string | null;
  readonly relay: string;
  /** The lease had ended and the delivery been taken by another relay. */
  readonly late: boolean;
}

export interface DeliveryView {
  readonly id: string;
  readonly consumerId: string;
  readonly consumerName: string;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly nextAttemptAt: string | null;
  readonly settledAt: string | null;
}

export interface EventDetails extends EventView {
  readonly deliveries: readonly (DeliveryView & { readonly log: readonly AttemptView[] })[];
}

export interface EventFilter extends PageRequest {
  /** A pattern. */
  readonly type?: string | undefined;
  readonly subject?: string | undefined;
  readonly since?: string | undefined;
}

export interface EventViews {
  /**
   * Oldest first, so that following `nextCursor` reads on and skips none; events of one order come in their sequence.
   * An event is shown once no change that began before it can still write an earlier one: seconds later at most, as
   * long as a transaction may take. One that a person corrected has the time of the one that it replaces, and may
   * appear behind whoever reads on: it is meant for one consumer.
   * At the end, ask with the same cursor again later, and leave out what was seen.
   */
  list(filter: EventFilter): Promise<Page<EventView>>;
  find(id: string): Promise<EventDetails | undefined>;
}

export interface DeadLetterView {
  readonly id: string;
  readonly consumerId: string;
  readonly consumerName: string;
  readonly eventId: string;
  readonly type: string;
  readonly orderId: string;
  readonly sequence: number;
  readonly cause: DeadCause;
  readonly attempts: number;
  readonly eventAt: string;
  readonly deadSince: string;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
}

export interface DeadLetterDetails extends DeadLetterView {
  readonly status: DeliveryStatus;
  readonly envelope: Readonly<Record<string, unknown>>;
  readonly log: readonly AttemptView[];
  /** What people did to it, oldest first. */
  readonly actions: readonly {
    readonly at: string;
    readonly action: string;
    readonly actor: string;
    readonly reason: string | null;
  }[];
}

/** Which dead letters; all that is named must hold. */
export interface DeadLetterFilter {
  readonly consumerId?: string | undefined;
  readonly cause?: string | undefined;
  /** A pattern. */
  readonly type?: string | undefined;
  readonly orderId?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

export const deadLetterGroupings = ['cause', 'consumer', 'type'] as const;
export type DeadLetterGrouping = (typeof deadLetterGroupings)[number];

export interface DeadLetterGroup {
  /** The cause, the consumer's id, or the type. */
  readonly key: string;
  readonly count: number;
  readonly oldest: string;
  readonly newest: string;
  /** The last error of the newest, for a person. */
  readonly example: string | null;
}

export interface DeadLetters {
  /** Oldest first. */
  list(filter: DeadLetterFilter, page: PageRequest): Promise<Page<DeadLetterView>>;
  groups(filter: DeadLetterFilter, by: DeadLetterGrouping): Promise<readonly DeadLetterGroup[]>;
  /** How many a redrive would take in now: not those of deleted consumers, nor what another redrive is yet to send. */
  count(filter: DeadLetterFilter): Promise<number>;
  /** One that is or was a dead letter; `cause` and `deadSince` are those of the last time. */
  find(id: string): Promise<DeadLetterDetails | undefined>;
  /**
   * These throw `not_found`, and `conflict` for one that is no dead letter any more. What was meant for a deleted
   * consumer can be discarded only.
   */
  retry(id: string, audit: Audit): Promise<void>;
  /** Sends `data` in the place of the event's own: a new event id that says what it replaces, same sequence. */
  edit(id: string, data: EventData, audit: Audit): Promise<{ readonly eventId: string; readonly deliveryId: string }>;
  discard(id: string, audit: Audit): Promise<void>;
}

/** `canary`: the first few are out. `failed`: none of these was delivered, so that the rest was left alone. */
export const redriveStates = ['canary', 'running', 'paused', 'stopped', 'failed', 'completed'] as const;
export type RedriveState = (typeof redriveStates)[number];

export interface RedriveView {
  readonly id: string;
  readonly state: RedriveState;
  readonly filter: DeadLetterFilter;
  readonly ratePerSecond: number;
  /** Dead letters that it took in when it was made. */
  readonly total: number;
  /** Sent again so far, and what became of these. */
  readonly sent: number;
  readonly delivered: number;
  readonly deadAgain: number;
  readonly actor: string;
  readonly reason: string | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

export interface NewRedrive {
  readonly filter: DeadLetterFilter;
  readonly ratePerSecond: number;
}

/** Many dead letters sent again, at a rate; a workflow drives each. Those that name one throw `not_found`. */
export interface Redrives {
  /** Takes in what `DeadLetters.count` counts now, and no later ones. Throws `idempotency_key_reused`, `idempotency_in_progress`. */
  create(redrive: NewRedrive, idempotency: Idempotency, audit: Audit): Promise<Created<RedriveView>>;
  find(id: string): Promise<RedriveView | undefined>;
  list(page: PageRequest): Promise<Page<RedriveView>>;
  /** By a person: pause, go on, stop. Throws `conflict` where it is at its end. */
  steer(id: string, wish: 'pause' | 'resume' | 'stop', audit: Audit): Promise<RedriveView>;
  /** By its workflow: has the next `count` sent, and says how many there were. Nothing unless it is canary or running. */
  sendNext(id: string, count: number): Promise<number>;
  /** By its workflow: changes nothing that a person paused or ended. */
  advance(id: string, state: 'running' | 'failed' | 'completed'): Promise<void>;
  /** Not at their end, for whoever makes sure that each has its workflow. */
  open(): Promise<readonly string[]>;
}
