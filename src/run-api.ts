import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Temporal } from './adapters/temporal/connection.ts';
import { createApi } from './api/app.ts';
import type { PayloadPort } from './api/codec.ts';
import { createAuthenticator } from './api/authenticator.ts';
import { idempotencyOf } from './api/idempotency.ts';
import { parseOrder } from './api/order-body.ts';
import type { ReadinessCheck } from './api/deps.ts';
import { readinessOf } from './api/readiness.ts';
import { listen } from './api/server.ts';
import type { RunningApp } from './with-app.ts';
import type { App } from './app.ts';
import { createAdmission } from './delivery/admission.ts';
import { createOutage } from './delivery/outage.ts';
import { RATE_LASTS_MS } from './domain/shipping-quotes.ts';
import { createRateLimits } from './resilience/rates.ts';
import { sweepDelivery } from './delivery/delivery-sweep.ts';
import { runOrderIntake } from './delivery/order-intake.ts';
import { runJudge } from './delivery/judge.ts';
import { reconcile } from './delivery/reconciler.ts';
import { createRequestCounter } from './delivery/request-counter.ts';
import { sweep } from './delivery/sweeper.ts';
import { repeat } from './delivery/upkeep.ts';
import { loadObjectives } from './slo/files.ts';
import { thresholdsOf } from './slo/openslo.ts';
import type { AccessDeps } from './api/access.ts';
import { httpMetrics } from './telemetry/http-metrics.ts';
import { tokensOf } from './token-settings.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { currentTraceparent } from './telemetry/trace-context.ts';

/** A Temporal that is there answers within this. */
const PING_PATIENCE_MS = 700;
const PRUNE_EVERY_MS = 10 * 60_000;
/** How often the API runs the upkeep. The schedule's rounds stand in where no API runs, and each is seen in the Web UI. */
const UPKEEP_EVERY_MS = 60_000;

/** Serves the API and its share of the upkeep until `signal` fires; then lets what is in flight finish. */
export async function startApi(app: RunningApp, signal: AbortSignal): Promise<{ url: string; stopped: Promise<void> }> {
  const { broker, config, db, handover, instruments, log, slo, temporal, upkeepDeps, upkeepSettings } = app;
  const { objectives, sla } = await loadObjectives(config.EVENKEEL_SLO_DIR);
  const requests = createRequestCounter(slo, log);
  const measured = httpMetrics(instruments.metrics);
  const reach = createOutage('rates of callers', log);
  const rate = { perSecond: config.EVENKEEL_RATE_LIMIT_PER_SECOND, burst: config.EVENKEEL_RATE_LIMIT_BURST };
  const limits = createRateLimits(
    { rates: app.rates, reach: (is, error) => (is === 'away' ? void reach.failed(error) : reach.worked()) },
    rate,
  );
  const admission = createAdmission(
    {
      backlogs: app.backlogs,
      taskQueues: app.taskQueues,
      log,
      looked: ({ pressure }) => instruments.metrics.set('pressure', {}, pressure),
    },
    { shedAgeMs: config.EVENKEEL_SHED_AGE_MS },
  );
  const readiness: readonly ReadinessCheck[] = [
    { name: 'postgres', check: () => db.ping() },
    { name: 'temporal', optional: true, check: (bound) => pingTemporal(temporal, bound) },
    { name: 'overload', optional: true, check: () => admission.check() },
    ...(broker === undefined ? [] : [{ name: 'rabbitmq', optional: true, check: () => broker.check() }]),
  ];
  app.tellReadiness(() => readinessOf({ readiness, draining: signal, log }));
  const api = createApi({
    authenticator: createAuthenticator(app.apiKeys, tokensOf(config)),
    auditLog: app.auditLog,
    authenticated: (outcome) => instruments.metrics.count('authentications', { outcome }),
    refused: countRefusals(instruments.metrics),
    limits,
    admission,
    breakers: app.breakerStore,
    shippingQuotes: app.shippingQuotes,
    erasures: app.erasures,
    payloads: payloadsOf(temporal),
    codecOrigins: config.EVENKEEL_CODEC_ORIGINS,
    hasMailServer: config.SMTP_URL !== undefined,
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
    readiness,
    carrierSecret: config.CARRIER_CALLBACK_SECRET,
    slo,
    sloHistory: app.sloHistory,
    objectives,
    sla,
    log,
    tracing: instruments.tracing,
    answered(answered) {
      measured(answered);
      requests.count(answered);
    },
    draining: signal,
  });
  const server = await listen(api, {
    host: config.EVENKEEL_HTTP_HOST,
    port: config.EVENKEEL_HTTP_PORT,
    drainMs: config.EVENKEEL_DRAIN_MS,
    announceMs: instruments.role === 'api' ? config.EVENKEEL_DRAIN_ANNOUNCE_MS : 0,
  });
  log.info({ url: server.url }, 'API listens');
  /** After the last answer, which counts too. */
  const answeredAll = new AbortController();
  const counting = requests.run(answeredAll.signal);
  const loops = Promise.all([
    runJudge({ records: slo, log }, thresholdsOf(objectives), signal),
    repeat('sweep', config.EVENKEEL_SWEEP_INTERVAL_MS, { signal, log }, () =>
      sweep(upkeepDeps, upkeepSettings.graceMs, signal),
    ),
    repeat('sweep of delivery', config.EVENKEEL_SWEEP_INTERVAL_MS, { signal, log }, () =>
      sweepDelivery({ troubles: app.troubles, redrives: app.redrives, workflows: app.deliveryWorkflows, log }, signal),
    ),
    takeOrders(app, signal),
    admission.run(signal),
    repeat('prune of rates', PRUNE_EVERY_MS, { signal, log }, () =>
      Promise.all([app.rates.prune(rate), app.shippingRates.prune(RATE_LASTS_MS)]),
    ),
    // The schedule does the same; this round is for when Temporal or every worker is away.
    repeat('reconcile', UPKEEP_EVERY_MS, { signal, log }, () => reconcile(upkeepDeps, upkeepSettings, { signal })),
  ]);
  const drain = async (): Promise<void> => {
    if (!signal.aborted) await once(signal, 'abort');
    await server.close();
    answeredAll.abort();
    await Promise.all([loops, counting]);
  };
  return { url: server.url, stopped: drain() };
}

function payloadsOf({ dataConverter, namespace }: Temporal): PayloadPort {
  const [codec] = dataConverter.payloadCodecs;
  return { namespace, encode: (payloads) => codec.encode(payloads), decode: (payloads) => codec.decode(payloads) };
}

function countRefusals(metrics: Metrics): NonNullable<AccessDeps['refused']> {
  return (by) => {
    if ('limited' in by) metrics.count('requestsLimited', { by: by.limited });
    else if (by.shed !== 'critical') metrics.count('requestsShed', { priority: by.shed });
  };
}

async function takeOrders(app: App, signal: AbortSignal): Promise<void> {
  const { config, handover, intake, log, messageInbox: inbox, orderQueue: queue } = app;
  if (queue === undefined) return;
  await runOrderIntake(
    { queue, inbox, intake, handover, log, traceparent: currentTraceparent, parseOrder, idempotencyOf },
    { maxRetries: config.EVENKEEL_AMQP_MAX_RETRIES, prefetch: config.EVENKEEL_AMQP_PREFETCH },
    signal,
  );
}

/** What keeps it waiting is asked of the connection itself, which the client would not say. */
async function pingTemporal(temporal: Temporal, signal: AbortSignal): Promise<void> {
  let isOver = false;
  const { client } = temporal;
  const ping = client
    .withAbortSignal(signal, () => client.workflowService.getSystemInfo({}))
    .finally(() => (isOver = true));
  const found = sleep(PING_PATIENCE_MS, undefined, { ref: false }).then(async () => {
    const probed = isOver ? undefined : await temporal.probe();
    if (probed !== undefined && 'problem' in probed) throw new Error(probed.problem);
    return ping;
  });
  await Promise.race([ping, found]);
}
