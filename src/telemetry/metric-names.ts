/**
 * Every metric that Evenkeel exports, once. Rules, dashboards, alerts and the table in docs/metrics.md are made from it,
 * so that none of them can name what does not exist. Prometheus' conventions: base units, `_total` for counters.
 */
import { breakerNames } from '../domain/breakers.ts';
import { MOST_PENDING, taskKinds, violationKinds } from '../domain/fact-ports.ts';
import { eventTypes } from '../domain/events.ts';
import { sloNames } from '../domain/objectives.ts';
import { orderStatuses } from '../domain/order.ts';
import { stepNames } from '../domain/steps.ts';
import { resilienceMetrics } from './resilience-metric-names.ts';

/** A closed list of values. Or how many there can be at most, where they are not known; one of them is `other`. */
export type LabelValues = readonly string[] | { readonly atMost: number };

export interface MetricSpec {
  readonly name: `evenkeel_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: Readonly<Record<string, LabelValues>>;
  /** Sets of label values at most, where many of all that could be never come together. */
  readonly series?: number;
  /** Of a histogram: upper bounds, in the unit that the name ends with. */
  readonly buckets?: readonly number[];
  /** Who exports it: every process, or the API's, from records. */
  readonly from: 'process' | 'records';
}

/** The objectives' thresholds are among them: 0.5 s for processing and dispatch, 30 s for delivery. */
const processing = [0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2.5, 5, 15, 60, 300];
const delivery = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];
const quick = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

const ended = ['completed', 'partially_completed', 'cancelled', 'rejected'] as const;
const some = (atMost: number): LabelValues => ({ atMost });
/** Routes of the API and `(none)`; activities; the consumers that are shown by name and `other`. */
const routes = some(80);
const activities = some(40);
const consumers = some(21);

export const metrics = {
  sloGood: {
    name: 'evenkeel_slo_good_events_total',
    type: 'counter',
    help: 'Events that met their objective, judged once from records; alike in every API process: take the maximum',
    labels: { slo: sloNames },
    from: 'records',
  },
  sloEvents: {
    name: 'evenkeel_slo_events_total',
    type: 'counter',
    help: 'Events that count for the objective, good or bad; alike in every API process: take the maximum',
    labels: { slo: sloNames },
    from: 'records',
  },
  sloExcluded: {
    name: 'evenkeel_slo_excluded_events_total',
    type: 'counter',
    help: 'Events that do not count for the objective, such as those of a paused consumer',
    labels: { slo: sloNames },
    from: 'records',
  },
  sloJudgedUntil: {
    name: 'evenkeel_slo_judged_until_timestamp_seconds',
    type: 'gauge',
    help: 'Up to this moment, by PostgreSQL, everything is judged: the oldest of all objectives',
    labels: {},
    from: 'records',
  },
  factsReadAt: {
    name: 'evenkeel_facts_timestamp_seconds',
    type: 'gauge',
    help: 'When this process last got an answer from the source of these facts',
    labels: { source: ['postgres', 'violations', 'temporal'] },
    from: 'records',
  },
  openOrders: {
    name: 'evenkeel_open_orders',
    type: 'gauge',
    help: 'Orders that are not at their end',
    labels: { status: orderStatuses },
    from: 'records',
  },
  openAttentions: {
    name: 'evenkeel_open_attentions',
    type: 'gauge',
    help: 'What waits for a person to decide, by the step that is stuck',
    labels: { step: stepNames },
    from: 'records',
  },
  oldestStartable: {
    name: 'evenkeel_oldest_startable_order_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest accepted order that no workflow was started for; 0 if there is none',
    labels: {},
    from: 'records',
  },
  oldestUnknownPayment: {
    name: 'evenkeel_oldest_unknown_payment_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest request to the payment provider without a known outcome; 0 if there is none',
    labels: {},
    from: 'records',
  },
  failedCompensations: {
    name: 'evenkeel_failed_compensations',
    type: 'gauge',
    help: 'Undos that could not be done and wait for a person',
    labels: {},
    from: 'records',
  },
  violations: {
    name: 'evenkeel_ledger_violations',
    type: 'gauge',
    help: 'Contradictions within the records: each is a broken promise',
    labels: { kind: violationKinds },
    from: 'records',
  },
  consumerLag: {
    name: 'evenkeel_consumer_lag_seconds',
    type: 'gauge',
    help: 'Age of the oldest event that an enabled consumer has not got, or how long it is enabled again if that is less; the worst twenty, and the worst of the others',
    labels: { consumer: consumers },
    from: 'records',
  },
  consumerPending: {
    name: 'evenkeel_consumer_pending_deliveries',
    type: 'gauge',
    help: `Events that a consumer has not got, counted up to ${MOST_PENDING}: as many or more; the worst twenty, and the sum of the others`,
    labels: { consumer: consumers },
    from: 'records',
  },
  consumers: {
    name: 'evenkeel_consumers',
    type: 'gauge',
    help: 'Consumers by state; an enabled one that fails is in trouble',
    labels: { state: ['enabled', 'paused', 'disabled', 'in_trouble'] },
    from: 'records',
  },
  deadLetters: {
    name: 'evenkeel_dead_letters',
    type: 'gauge',
    help: 'Dead letters that nobody has seen to',
    labels: {},
    from: 'records',
  },
  parkedMessages: {
    name: 'evenkeel_parked_messages',
    type: 'gauge',
    help: 'Order messages from RabbitMQ that became dead letters',
    labels: {},
    from: 'records',
  },
  taskQueueBacklog: {
    name: 'evenkeel_task_queue_backlog',
    type: 'gauge',
    help: "Tasks in the orders' task queue that no worker has taken, by Temporal's estimate",
    labels: { kind: taskKinds },
    from: 'records',
  },
  taskQueueBacklogAge: {
    name: 'evenkeel_task_queue_backlog_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest of them',
    labels: { kind: taskKinds },
    from: 'records',
  },
  taskQueuePollers: {
    name: 'evenkeel_task_queue_pollers',
    type: 'gauge',
    help: "Workers that ask for the task queue's tasks",
    labels: { kind: taskKinds },
    from: 'records',
  },
  storeConnections: {
    name: 'evenkeel_store_connections',
    type: 'gauge',
    help: 'Connections to PostgreSQL, of everybody',
    labels: {},
    from: 'records',
  },
  storeConnectionsMax: {
    name: 'evenkeel_store_connections_max',
    type: 'gauge',
    help: 'Connections that PostgreSQL grants at most',
    labels: {},
    from: 'records',
  },
  storeBytes: {
    name: 'evenkeel_store_size_bytes',
    type: 'gauge',
    help: 'Size of the database',
    labels: {},
    from: 'records',
  },
  storeBytesMax: {
    name: 'evenkeel_store_size_limit_bytes',
    type: 'gauge',
    help: 'Size that the database may have (EVENKEEL_STORE_LIMIT_GIB); 0 if that is not set',
    labels: {},
    from: 'records',
  },
  httpRequests: {
    name: 'evenkeel_http_requests_total',
    type: 'counter',
    help: 'Requests answered, by route and status class; `aborted` where the caller left before the answer',
    labels: {
      method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'other'],
      route: routes,
      status: ['2xx', '3xx', '4xx', '5xx', 'aborted'],
    },
    // Each route has a method or two.
    series: 600,
    from: 'process',
  },
  httpSeconds: {
    name: 'evenkeel_http_request_duration_seconds',
    type: 'histogram',
    help: 'From the first byte of a request to the last of its answer; waits that the caller asked for included',
    labels: { route: routes },
    buckets: quick,
    from: 'process',
  },
  apiGood: {
    name: 'evenkeel_api_good_requests_total',
    type: 'counter',
    help: 'Requests of /v1 that were not answered with 5xx',
    labels: {},
    from: 'process',
  },
  apiRequests: {
    name: 'evenkeel_api_requests_total',
    type: 'counter',
    help: 'Requests of /v1 that count for the objective: all but those whose caller left',
    labels: {},
    from: 'process',
  },
  ordersAccepted: {
    name: 'evenkeel_orders_accepted_total',
    type: 'counter',
    help: 'Orders accepted by this process',
    labels: {},
    from: 'process',
  },
  ordersFinished: {
    name: 'evenkeel_orders_finished_total',
    type: 'counter',
    help: 'Orders that this process brought to their end',
    labels: { outcome: ended },
    from: 'process',
  },
  orderSeconds: {
    name: 'evenkeel_order_processing_duration_seconds',
    type: 'histogram',
    help: 'From the acceptance of an order to its confirmation',
    labels: {},
    buckets: processing,
    from: 'process',
  },
  eventsPublished: {
    name: 'evenkeel_events_published_total',
    type: 'counter',
    help: 'Events written by this process',
    labels: { type: eventTypes },
    from: 'process',
  },
  deliveryAttempts: {
    name: 'evenkeel_delivery_attempts_total',
    type: 'counter',
    help: 'Attempts to deliver an event, by what came of it; `late`: another relay had taken the delivery meanwhile',
    labels: { type: eventTypes, outcome: ['delivered', 'failed', 'dead', 'late'] },
    from: 'process',
  },
  deliveryAttemptSeconds: {
    name: 'evenkeel_delivery_attempt_duration_seconds',
    type: 'histogram',
    help: 'How long a consumer took for one attempt',
    labels: { outcome: ['delivered', 'failed'] },
    buckets: quick,
    from: 'process',
  },
  deliverySeconds: {
    name: 'evenkeel_delivery_duration_seconds',
    type: 'histogram',
    help: 'From an event to its delivery to one consumer, failed attempts included',
    labels: {},
    buckets: delivery,
    from: 'process',
  },
  activityAttempts: {
    name: 'evenkeel_activity_attempts_total',
    type: 'counter',
    help: 'Attempts of activities, local ones too',
    labels: { activity: activities, local: ['true', 'false'], outcome: ['completed', 'failed', 'cancelled'] },
    from: 'process',
  },
  activitySeconds: {
    name: 'evenkeel_activity_attempt_duration_seconds',
    type: 'histogram',
    help: 'How long one attempt of an activity took',
    labels: { activity: activities },
    buckets: quick,
    from: 'process',
  },
  compensations: {
    name: 'evenkeel_compensations_total',
    type: 'counter',
    help: 'Undos of steps that were done, or found that there was nothing to undo',
    labels: { step: ['release', 'void', 'cancel_shipment', 'refund'] },
    from: 'process',
  },
  workflowsStarted: {
    name: 'evenkeel_workflows_started_total',
    type: 'counter',
    help: 'Workflow executions that began; replays are none',
    labels: { workflow: some(10) },
    from: 'process',
  },
  workflowsClosed: {
    name: 'evenkeel_workflows_closed_total',
    type: 'counter',
    help: 'Workflow executions that ended; replays are none',
    labels: { workflow: some(10), outcome: ['completed', 'failed', 'cancelled', 'continued'] },
    from: 'process',
  },
  workflowMessages: {
    name: 'evenkeel_workflow_messages_total',
    type: 'counter',
    help: 'Signals and updates that a workflow was given; replays are none',
    labels: { message: some(20) },
    from: 'process',
  },
  temporalRequests: {
    name: 'evenkeel_temporal_requests_total',
    type: 'counter',
    help: 'Starts, signals, updates and queries that this process asked Temporal for',
    labels: { operation: ['start', 'signal', 'update', 'query', 'other'], outcome: ['completed', 'failed'] },
    from: 'process',
  },
  providerCalls: {
    name: 'evenkeel_provider_calls_total',
    type: 'counter',
    help: 'Calls to a provider; a refusal by the business is a completed call',
    labels: { provider: breakerNames, operation: some(12), outcome: ['completed', 'failed'] },
    from: 'process',
  },
  providerSeconds: {
    name: 'evenkeel_provider_call_duration_seconds',
    type: 'histogram',
    help: 'How long a call to a provider took',
    labels: { provider: breakerNames },
    buckets: quick,
    from: 'process',
  },
  storeStatements: {
    name: 'evenkeel_store_statements_total',
    type: 'counter',
    help: 'Statements sent to PostgreSQL',
    labels: { outcome: ['completed', 'failed'] },
    from: 'process',
  },
  storeSeconds: {
    name: 'evenkeel_store_statement_duration_seconds',
    type: 'histogram',
    help: 'How long a statement took in PostgreSQL and on the way',
    labels: {},
    buckets: quick,
    from: 'process',
  },
  storePool: {
    name: 'evenkeel_store_pool_connections',
    type: 'gauge',
    help: "This process's connections to PostgreSQL, and who waits for one",
    labels: { state: ['total', 'idle', 'waiting'] },
    from: 'process',
  },
  networkBytes: {
    name: 'evenkeel_network_bytes_total',
    type: 'counter',
    help: "Bytes over this machine's or container's network, loopback included (Linux)",
    labels: { direction: ['received', 'sent'] },
    from: 'process',
  },
  buildInfo: {
    name: 'evenkeel_build_info',
    type: 'gauge',
    help: 'Always 1; tells the version',
    labels: { version: some(2), node: some(2) },
    from: 'process',
  },
  ...resilienceMetrics,
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricKey = keyof typeof metrics;
