/** The composition root: builds clients, ports and stores from the settings. Mains, tests and tools share it. */
import { once } from 'node:events';
import { Client } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import { createActivities } from './activities/activities.ts';
import { connectBroker } from './adapters/amqp/broker.ts';
import { amqpOrderQueue } from './adapters/amqp/order-queue.ts';
import { amqpPublisher } from './adapters/amqp/publisher.ts';
import { httpCarrier } from './adapters/http/carrier.ts';
import { httpPaymentGateway } from './adapters/http/payment-gateway.ts';
import { httpWebhooks } from './adapters/http/webhooks.ts';
import { postgresCatalog } from './adapters/postgres/catalog.ts';
import { postgresConsumerTroubles } from './adapters/postgres/consumer-troubles.ts';
import { postgresConsumers } from './adapters/postgres/consumers.ts';
import { connect } from './adapters/postgres/database.ts';
import { postgresDeadLetters } from './adapters/postgres/dead-letters.ts';
import { postgresDeliveryQueue } from './adapters/postgres/delivery-queue.ts';
import { postgresEffects } from './adapters/postgres/effects.ts';
import { postgresEventViews } from './adapters/postgres/event-views.ts';
import { postgresInbox } from './adapters/postgres/inbox.ts';
import { postgresIntake } from './adapters/postgres/intake.ts';
import { postgresMessageInbox } from './adapters/postgres/message-inbox.ts';
import { postgresOrders } from './adapters/postgres/orders.ts';
import { postgresOutstanding } from './adapters/postgres/outstanding.ts';
import { postgresRedrives } from './adapters/postgres/redrives.ts';
import { postgresRequests } from './adapters/postgres/requests.ts';
import { postgresScreening } from './adapters/postgres/screening.ts';
import { postgresStock } from './adapters/postgres/stock.ts';
import { postgresViews } from './adapters/postgres/views.ts';
import { temporalDeliveryWorkflows } from './adapters/temporal/delivery-workflows.ts';
import { lazyConnection } from './adapters/temporal/lazy-connection.ts';
import { temporalOrderWorkflows } from './adapters/temporal/order-workflows.ts';
import { createApi } from './api/app.ts';
import { idempotencyOf } from './api/idempotency.ts';
import { parseOrder } from './api/order-body.ts';
import { listen } from './api/server.ts';
import type { WiredConfig } from './config.ts';
import { sweepDelivery } from './delivery/delivery-sweep.ts';
import { createHandover } from './delivery/handover.ts';
import { runOrderIntake } from './delivery/order-intake.ts';
import { reconcile } from './delivery/reconciler.ts';
import { runRelay } from './delivery/relay.ts';
import { createSender } from './delivery/sender.ts';
import { sweep } from './delivery/sweeper.ts';
import { type UpkeepDeps, createUpkeep, repeat } from './delivery/upkeep.ts';
import { recordedPayments, recordedShipping } from './domain/provider-effects.ts';
import type { Log } from './telemetry/log.ts';
import { clientTraceInterceptor } from './telemetry/temporal-interceptors.ts';
import { currentTraceparent } from './telemetry/trace-context.ts';
import { workflowBundle } from './workers/bundle.ts';
import { createWorker, runWorker } from './workers/worker.ts';

const HOUR_MS = 3_600_000;
/** How long one call to Temporal may hold up who asks. */
const TEMPORAL_DEADLINE_MS = 5_000;
/** The API hands over at once; the sweeper leaves it this long to do so. */
const SWEEP_GRACE_MS = 3_000;
const STANDSTILL_MS = 10 * 60_000;
/** How long one order or one call to a provider may hold up the upkeep. */
const UPKEEP_ITEM_MS = 10_000;
/** Longer than any attempt at a provider lasts. */
const UNKNOWN_MS = 2 * 60_000;
/** How often the API runs the upkeep. The schedule's rounds stand in where no API runs, and each is seen in the Web UI. */
const UPKEEP_EVERY_MS = 60_000;
const LONGEST_BACKOFF_MS = 6 * HOUR_MS;
export const UPKEEP_SCHEDULE_EVERY_MS = 5 * 60_000;

export interface Temporal {
  readonly client: Client;
  readonly namespace: string;
  /** Only where a worker shares it. */
  readonly native: NativeConnection | undefined;
  close(): Promise<void>;
}

/**
 * Connects to Temporal. `worker` connects now and fails if it is away; a `client` connects when it first has something
 * to say, so that the API starts and takes orders while Temporal is down.
 */
export async function connectTemporal(config: WiredConfig, use: 'worker' | 'client'): Promise<Temporal> {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig({
    overrideEnvVars: { ...config.temporalEnv, TEMPORAL_ADDRESS: config.TEMPORAL_ADDRESS },
  });
  const interceptors = { workflow: [clientTraceInterceptor] };
  if (use === 'worker') {
    const native = await NativeConnection.connect(connectionOptions);
    return {
      client: new Client({ connection: native, namespace, interceptors }),
      namespace,
      native,
      close: () => native.close(),
    };
  }
  const lazy = lazyConnection(connectionOptions);
  return {
    client: new Client({ connection: lazy.connection, namespace, interceptors }),
    namespace,
    native: undefined,
    close: () => lazy.close(),
  };
}

export type App = ReturnType<typeof createApp>;

/** Everything but the processes: stores, providers and the workflows behind their ports. */
export function createApp(config: WiredConfig, temporal: Temporal, log: Log) {
  const db = connect(config.DATABASE_URL, { pool: config.EVENKEEL_DATABASE_POOL, traceparent: currentTraceparent });
  const journal = postgresEffects(db);
  const gateway = httpPaymentGateway(config.PAYMENT_GATEWAY_URL);
  const carrier = httpCarrier(config.CARRIER_URL);
  const payments = recordedPayments(journal, gateway);
  const shipping = recordedShipping(journal, carrier);
  const outstanding = postgresOutstanding(db);
  const dispatchOverdueMs = config.EVENKEEL_DISPATCH_OVERDUE_HOURS * HOUR_MS;
  const deliveryOverdueMs = config.EVENKEEL_DELIVERY_OVERDUE_HOURS * HOUR_MS;
  const workflows = temporalOrderWorkflows(temporal.client, {
    dispatchOverdueMs,
    deliveryOverdueMs,
    eagerStart: temporal.native !== undefined,
    deadlineMs: TEMPORAL_DEADLINE_MS,
  });
  const handover = createHandover(outstanding, workflows);
  const upkeepDeps: UpkeepDeps = {
    outstanding,
    handover,
    workflows,
    journal,
    gateway,
    carrier,
    payments,
    shipping,
    log,
  };
  const troubles = postgresConsumerTroubles(db);
  const redrives = postgresRedrives(db);
  const deliveryWorkflows = temporalDeliveryWorkflows(temporal.client, {
    deadlineMs: TEMPORAL_DEADLINE_MS,
    giveUpMs: config.EVENKEEL_CONSUMER_GIVE_UP_HOURS * HOUR_MS,
  });
  const report = reportTo(log);
  const broker = config.AMQP_URL === undefined ? undefined : connectBroker(config.AMQP_URL, { report });
  const timeoutMs = config.EVENKEEL_DELIVERY_TIMEOUT_MS;
  const sender = createSender({
    http: httpWebhooks({ timeoutMs, networks: config.EVENKEEL_WEBHOOK_NETWORKS }),
    amqp: amqpPublisher(broker, { timeoutMs }),
  });
  const upkeepSettings = {
    graceMs: SWEEP_GRACE_MS,
    idleMs: config.EVENKEEL_RECONCILE_IDLE_MS,
    standstillMs: STANDSTILL_MS,
    carrierMs: Math.max(dispatchOverdueMs, deliveryOverdueMs) + 24 * HOUR_MS,
    unknownMs: UNKNOWN_MS,
    itemMs: UPKEEP_ITEM_MS,
  };
  return {
    config,
    temporal,
    log,
    db,
    intake: postgresIntake(db),
    views: postgresViews(db),
    requests: postgresRequests(db),
    catalog: postgresCatalog(db),
    inbox: postgresInbox(db),
    handover,
    broker,
    orderQueue: broker && amqpOrderQueue(broker, { report }),
    messageInbox: postgresMessageInbox(db),
    consumers: postgresConsumers(db),
    events: postgresEventViews(db),
    deadLetters: postgresDeadLetters(db),
    redrives,
    troubles,
    deliveryQueue: postgresDeliveryQueue(db),
    deliveryWorkflows,
    sender,
    upkeepDeps,
    upkeepSettings,
    activities: createActivities({
      screening: postgresScreening(db, {
        reviewAboveMinor: config.EVENKEEL_REVIEW_ABOVE_MINOR,
        reviewOrdersPerHour: config.EVENKEEL_REVIEW_ORDERS_PER_HOUR,
      }),
      stock: postgresStock(db),
      payments,
      shipping,
      orders: postgresOrders(db),
      troubles,
      redrives,
      upkeep: createUpkeep(upkeepDeps, upkeepSettings),
    }),
    async close(): Promise<void> {
      await Promise.all([gateway.close(), carrier.close(), sender.close()]);
      await broker?.close();
      await db.destroy();
      await temporal.close();
    },
  };
}

/** Serves the API and its share of the upkeep until `signal` fires; then lets what is in flight finish. */
export async function startApi(app: App, signal: AbortSignal): Promise<{ url: string; stopped: Promise<void> }> {
  const { broker, config, db, handover, log, temporal, upkeepDeps, upkeepSettings } = app;
  const api = createApi({
    intake: app.intake,
    views: app.views,
    requests: app.requests,
    catalog: app.catalog,
    inbox: app.inbox,
    workflows: { ...handover, cancel: async (orderId) => void (await handover.cancel(orderId)) },
    consumers: app.consumers,
    events: app.events,
    deadLetters: app.deadLetters,
    redrives: app.redrives,
    deliveryWorkflows: app.deliveryWorkflows,
    sender: app.sender,
    webhookNetworks: config.EVENKEEL_WEBHOOK_NETWORKS,
    hasBroker: app.broker !== undefined,
    readiness: [
      { name: 'postgres', check: () => db.ping() },
      { name: 'temporal', optional: true, check: (bound) => pingTemporal(temporal, bound) },
      ...(broker === undefined ? [] : [{ name: 'rabbitmq', optional: true, check: () => broker.check() }]),
    ],
    carrierSecret: config.CARRIER_CALLBACK_SECRET,
    log,
    draining: signal,
  });
  const server = await listen(api, { host: config.EVENKEEL_HTTP_HOST, port: config.EVENKEEL_HTTP_PORT });
  log.info({ url: server.url }, 'API listens');
  const loops = Promise.all([
    repeat('sweep', config.EVENKEEL_SWEEP_INTERVAL_MS, { signal, log }, () =>
      sweep(upkeepDeps, SWEEP_GRACE_MS, signal),
    ),
    repeat('sweep of delivery', config.EVENKEEL_SWEEP_INTERVAL_MS, { signal, log }, () =>
      sweepDelivery({ troubles: app.troubles, redrives: app.redrives, workflows: app.deliveryWorkflows, log }, signal),
    ),
    takeOrders(app, signal),
    // The schedule does the same; this round is for when Temporal or every worker is away.
    repeat('reconcile', UPKEEP_EVERY_MS, { signal, log }, () => reconcile(upkeepDeps, upkeepSettings, { signal })),
  ]);
  const drain = async (): Promise<void> => {
    if (!signal.aborted) await once(signal, 'abort');
    await server.close();
    await loops;
  };
  return { url: server.url, stopped: drain() };
}

async function takeOrders(app: App, signal: AbortSignal): Promise<void> {
  const { config, handover, intake, log, messageInbox: inbox, orderQueue: queue } = app;
  if (queue === undefined) return;
  await runOrderIntake(
    { queue, inbox, intake, handover, log, parseOrder, idempotencyOf },
    { maxRetries: config.EVENKEEL_AMQP_MAX_RETRIES, prefetch: config.EVENKEEL_AMQP_PREFETCH },
    signal,
  );
}

/** What adapters have to tell and nobody asked for. */
function reportTo(log: Log): (line: string, error?: Error) => void {
  return (line, error) => (error === undefined ? log.info({}, line) : log.warn({ err: error }, line));
}

async function pingTemporal({ client }: Temporal, signal: AbortSignal): Promise<void> {
  await client.withAbortSignal(signal, () => client.workflowService.getSystemInfo({}));
}

/** Runs a worker until `signal` fires, then drains it. Rejects if it fails by itself. */
export async function startWorker(app: App, signal: AbortSignal): Promise<{ stopped: Promise<void> }> {
  const { activities, config, log, temporal } = app;
  if (!temporal.native) throw new Error('a worker needs a connection of its own kind');
  const worker = await createWorker({
    connection: temporal.native,
    namespace: temporal.namespace,
    activities,
    bundle: await workflowBundle(),
    log,
    maxConcurrentSteps: config.EVENKEEL_MAX_CONCURRENT_STEPS,
  });
  const relay = runRelay(
    { queue: app.deliveryQueue, sender: app.sender, workflows: app.deliveryWorkflows, log },
    {
      policy: {
        maxStrikes: config.EVENKEEL_DELIVERY_MAX_ATTEMPTS,
        backoffBaseMs: config.EVENKEEL_DELIVERY_BACKOFF_MS,
        backoffCapMs: LONGEST_BACKOFF_MS,
        longestRetryAfterMs: HOUR_MS,
      },
      concurrency: config.EVENKEEL_DELIVERY_CONCURRENCY,
      timeoutMs: config.EVENKEEL_DELIVERY_TIMEOUT_MS,
    },
    signal,
  );
  log.info({}, 'worker runs');
  return { stopped: Promise.all([runWorker(worker, signal), relay]).then(() => undefined) };
}
