/** The composition root: builds clients, ports and stores from the settings. Mains, tests and tools share it. */
import { hostname } from 'node:os';
import { createActivities } from './activities/activities.ts';
import { type BrokerTls, connectBroker } from './adapters/amqp/broker.ts';
import { amqpOrderQueue } from './adapters/amqp/order-queue.ts';
import { amqpPublisher } from './adapters/amqp/publisher.ts';
import { httpWebhooks } from './adapters/http/webhooks.ts';
import { postgresApiKeys } from './adapters/postgres/api-keys.ts';
import { postgresAuditLog } from './adapters/postgres/audit-log.ts';
import { postgresBacklogs } from './adapters/postgres/backlogs.ts';
import { postgresBreakers } from './adapters/postgres/breakers.ts';
import { postgresCatalog } from './adapters/postgres/catalog.ts';
import { postgresConsumerTroubles } from './adapters/postgres/consumer-troubles.ts';
import { postgresConsumers } from './adapters/postgres/consumers.ts';
import { connect } from './adapters/postgres/database.ts';
import { postgresDeadLetters } from './adapters/postgres/dead-letters.ts';
import { postgresDeliveryQueue } from './adapters/postgres/delivery-queue.ts';
import { postgresEffects } from './adapters/postgres/effects.ts';
import { postgresErasure } from './adapters/postgres/erasure.ts';
import { postgresEventViews } from './adapters/postgres/event-views.ts';
import { postgresFacts } from './adapters/postgres/facts.ts';
import { postgresInbox } from './adapters/postgres/inbox.ts';
import { postgresIntake } from './adapters/postgres/intake.ts';
import { postgresMessageInbox } from './adapters/postgres/message-inbox.ts';
import { postgresOrders } from './adapters/postgres/orders.ts';
import { postgresOutstanding } from './adapters/postgres/outstanding.ts';
import { postgresRates } from './adapters/postgres/rates.ts';
import { postgresRecipients } from './adapters/postgres/recipients.ts';
import { postgresRedrives } from './adapters/postgres/redrives.ts';
import { postgresRequests } from './adapters/postgres/requests.ts';
import { postgresScreening } from './adapters/postgres/screening.ts';
import { postgresShippingRates } from './adapters/postgres/shipping-rates.ts';
import { postgresSloHistory } from './adapters/postgres/slo-history.ts';
import { postgresSloRecords } from './adapters/postgres/slo-records.ts';
import { postgresStock } from './adapters/postgres/stock.ts';
import { postgresViews } from './adapters/postgres/views.ts';
import { smtpMailer } from './adapters/smtp/mailer.ts';
import type { Temporal } from './adapters/temporal/connection.ts';
import { keyRingOf } from './adapters/temporal/data-converter.ts';
import { temporalDeliveryWorkflows } from './adapters/temporal/delivery-workflows.ts';
import { customerHashes } from './adapters/temporal/key-ring.ts';
import { temporalTaskQueues } from './adapters/temporal/task-queues.ts';
import { temporalOrderWorkflows } from './adapters/temporal/order-workflows.ts';
import type { Config, WiredConfig } from './config.ts';
import { createHandover } from './delivery/handover.ts';
import { createSender } from './delivery/sender.ts';
import { type UpkeepDeps, createUpkeep } from './delivery/upkeep.ts';
import { recordedPayments, recordedShipping } from './domain/provider-effects.ts';
import { rememberedQuotes } from './domain/shipping-quotes.ts';
import type { Instruments } from './instruments.ts';
import { createProviders } from './providers.ts';
import { createBreakers } from './resilience/breakers.ts';
import { breakerMetrics } from './telemetry/breaker-metrics.ts';
import { measuredQueue } from './telemetry/delivery-metrics.ts';
import { tracedOrderQueue, tracedSender } from './telemetry/delivery-spans.ts';
import type { Log } from './telemetry/log.ts';
import { currentTraceparent } from './telemetry/trace-context.ts';

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
export const UPKEEP_SCHEDULE_EVERY_MS = 5 * 60_000;

export type App = ReturnType<typeof createApp>;

/** Everything but the processes: stores, providers and the workflows behind their ports. */
export function createApp(config: WiredConfig, temporal: Temporal, instruments: Instruments) {
  const { log, metrics, tracing } = instruments;
  const traceparent = currentTraceparent;
  const db = connect(config.DATABASE_URL, {
    pool: config.EVENKEEL_DATABASE_POOL,
    traceparent,
    observer: instruments.store,
  });
  const journal = postgresEffects(db);
  const breakers = createBreakers({
    worker: `${hostname()}:${process.pid}`,
    concurrency: config.EVENKEEL_PROVIDER_CONCURRENCY,
    observer: breakerMetrics(metrics, log),
  });
  const providers = createProviders(config, db, instruments, (name) => breakers.guard(name));
  const { gateway, carrier, routes } = providers;
  const shippingRates = postgresShippingRates(db);
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
    routes,
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
  const broker =
    config.AMQP_URL === undefined ? undefined : connectBroker(config.AMQP_URL, { report, tls: brokerTls(config) });
  const timeoutMs = config.EVENKEEL_DELIVERY_TIMEOUT_MS;
  const sender = createSender({
    http: httpWebhooks({ timeoutMs, networks: config.EVENKEEL_WEBHOOK_NETWORKS, traceparent }),
    amqp: amqpPublisher(broker, { timeoutMs, traceparent }),
    mail: smtpMailer(postgresRecipients(db), { url: config.SMTP_URL, from: config.EVENKEEL_MAIL_FROM, timeoutMs }),
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
    instruments,
    db,
    apiKeys: postgresApiKeys(db),
    backlogs: postgresBacklogs(db),
    requireKnownGateways: () => providers.requireKnownGateways(),
    breakers,
    breakerStore: postgresBreakers(db),
    erasures: postgresErasure(db, customerHashes(keyRingOf(config))),
    rates: postgresRates(db),
    shippingRates,
    shippingQuotes: rememberedQuotes(providers.quotes, shippingRates, () =>
      metrics.count('fallbacks', { fallback: 'last_known_quote' }),
    ),
    auditLog: postgresAuditLog(db),
    intake: postgresIntake(db),
    views: postgresViews(db),
    requests: postgresRequests(db),
    catalog: postgresCatalog(db),
    inbox: postgresInbox(db),
    handover,
    broker,
    orderQueue: broker && tracedOrderQueue(amqpOrderQueue(broker, { report }), tracing),
    messageInbox: postgresMessageInbox(db),
    consumers: postgresConsumers(db),
    events: postgresEventViews(db),
    deadLetters: postgresDeadLetters(db),
    redrives,
    troubles,
    deliveryQueue: measuredQueue(postgresDeliveryQueue(db), metrics),
    deliveryWorkflows,
    sender: tracedSender(sender, tracing),
    slo: postgresSloRecords(db),
    sloHistory: postgresSloHistory(db),
    facts: postgresFacts(db),
    taskQueues: temporalTaskQueues(temporal.client, { deadlineMs: TEMPORAL_DEADLINE_MS }),
    upkeepDeps,
    upkeepSettings,
    activities: createActivities({
      screening: postgresScreening(
        db,
        {
          reviewAboveMinor: config.EVENKEEL_REVIEW_ABOVE_MINOR,
          reviewOrdersPerHour: config.EVENKEEL_REVIEW_ORDERS_PER_HOUR,
        },
        providers.risk,
      ),
      stock: postgresStock(db),
      payments,
      shipping,
      orders: postgresOrders(db),
      troubles,
      redrives,
      upkeep: createUpkeep(upkeepDeps, upkeepSettings),
    }),
    async close(): Promise<void> {
      await Promise.all([providers.close(), sender.close()]);
      await broker?.close();
      await db.destroy();
      await temporal.close();
    },
  };
}

/** Files for the connection to RabbitMQ, where the settings name any. */
export function brokerTls(config: Config): BrokerTls {
  const { EVENKEEL_AMQP_CA_FILE: caFile, EVENKEEL_AMQP_CERT_FILE: certFile, EVENKEEL_AMQP_KEY_FILE: keyFile } = config;
  return { caFile, certFile, keyFile };
}

/** What adapters have to tell and nobody asked for. */
function reportTo(log: Log): (line: string, error?: Error) => void {
  return (line, error) => (error === undefined ? log.info({}, line) : log.warn({ err: error }, line));
}
