import type { Catalog, Inbox, Intake, OrderViews, Requests } from '../domain/order-ports.ts';
import type { Consumers, DeadLetters, EventViews, Redrives } from '../domain/consumer-ports.ts';
import type { DeliveryWorkflows, EventSender } from '../domain/delivery-ports.ts';
import type { Log } from '../telemetry/log.ts';
import type { Tracing } from '../telemetry/spans.ts';
import type { AccessDeps } from './access.ts';
import type { BreakerApiDeps } from './breakers.ts';
import type { CodecDeps } from './codec.ts';
import type { ErasureDeps } from './erasure.ts';
import type { QuoteDeps } from './quotes.ts';
import type { SloApiDeps } from './slos.ts';
import type { WorkflowPort } from './workflows.ts';

/** One request that is over. */
export interface AnsweredRequest {
  readonly method: string;
  /** As documented, `/v1/orders/{id}`, or `(none)`. */
  readonly route: string;
  /** Null where the caller left before there was any. */
  readonly status: number | null;
  readonly durationMs: number;
}

export interface ReadinessCheck {
  /** What must answer, as an operator calls it: `postgres`, `temporal`. */
  readonly name: string;
  /** Whether requests can be served without it: then its absence is told, and the process stays ready. */
  readonly optional?: boolean;
  /** Resolves if it answers. Rejects, or lets `signal` fire, if it does not. */
  check(signal: AbortSignal): Promise<void>;
}

/** All that the API needs from outside. */
export interface ApiDeps extends SloApiDeps, AccessDeps, BreakerApiDeps, CodecDeps, ErasureDeps, QuoteDeps {
  /** Of pages in a browser that may ask for payloads to be decoded. */
  readonly codecOrigins: readonly string[];
  readonly intake: Intake;
  readonly views: OrderViews;
  readonly requests: Requests;
  readonly catalog: Catalog;
  readonly inbox: Inbox;
  readonly workflows: WorkflowPort;
  readonly consumers: Consumers;
  readonly events: EventViews;
  readonly deadLetters: DeadLetters;
  readonly redrives: Redrives;
  readonly deliveryWorkflows: DeliveryWorkflows;
  /** For test events; all others are the relay's. */
  readonly sender: EventSender;
  /** In CIDR form: where webhooks may go beside the public internet. */
  readonly webhookNetworks: readonly string[];
  /** Whether a RabbitMQ is configured, so that consumers may be reached over it. */
  readonly hasBroker: boolean;
  /** The same of a mail server. Absent: there is none. */
  readonly hasMailServer?: boolean;
  readonly readiness: readonly ReadinessCheck[];
  /** Absent: callbacks are refused. */
  readonly carrierSecret: string | undefined;
  readonly log: Log;
  /** Absent: nothing is recorded. */
  readonly tracing?: Tracing;
  /** Told of each request once it is over, within its trace. Must not throw. */
  readonly answered?: (request: AnsweredRequest) => void;
  /** Fires when the process is about to stop: long waits end early and `/readyz` says so. */
  readonly draining?: AbortSignal;
}
