import type { Guard } from './resilience/guard.ts';
import { httpCarrier } from './adapters/http/carrier.ts';
import { httpPaymentGateway } from './adapters/http/payment-gateway.ts';
import { httpQuotes } from './adapters/http/quotes.ts';
import { httpRiskService } from './adapters/http/risk.ts';
import type { Database } from './adapters/postgres/database.ts';
import { postgresPaymentRoutes } from './adapters/postgres/payment-routes.ts';
import { ConfigError, type WiredConfig } from './config.ts';
import type { BreakerName } from './domain/breakers.ts';
import { LONGEST_ATTEMPT_MS, type PaymentGateway, type Quotes, type RiskService } from './domain/provider-ports.ts';
import type { Instruments } from './instruments.ts';
import {
  type FailoverObserver,
  type NamedGateway,
  failoverGateway,
  gatewayName,
} from './resilience/payment-failover.ts';
import { guardedCall, guardedCarrier, guardedGateway } from './resilience/provider.ts';
import { measuredCarrier, measuredGateway, measuredQuotes, measuredRisk } from './telemetry/provider-metrics.ts';
import { tracedCarrier, tracedGateway, tracedQuotes, tracedRisk } from './telemetry/provider-spans.ts';
import { currentTraceparent } from './telemetry/trace-context.ts';

/**
 * Whoever is asked outside: each over HTTP, measured and traced where it was really asked, and behind its guard, so that
 * a call that was refused here counts as none.
 */
export function createProviders(
  config: WiredConfig,
  db: Database,
  { log, metrics, tracing }: Instruments,
  guard: (name: BreakerName) => Guard,
) {
  const options = { traceparent: currentTraceparent };
  const closers: (() => Promise<void>)[] = [];
  const closing = <Port extends { close(): Promise<void> }>(port: Port): Port => {
    closers.push(() => port.close());
    return port;
  };

  const gatewayAt = (url: string, name: 'payment' | 'payment-fallback'): PaymentGateway => {
    const seen = tracedGateway(
      measuredGateway(closing(httpPaymentGateway(url, options)), metrics, name),
      tracing,
      name,
    );
    return guardedGateway(seen, guard(name));
  };
  const others = config.PAYMENT_GATEWAY_FALLBACK_URLS.map((url): NamedGateway => [
    gatewayName(url),
    gatewayAt(url, 'payment-fallback'),
  ]);
  const first: NamedGateway = [
    gatewayName(config.PAYMENT_GATEWAY_URL),
    gatewayAt(config.PAYMENT_GATEWAY_URL, 'payment'),
  ];
  const observer: FailoverObserver = {
    movedOn({ orderId, provider }) {
      metrics.count('fallbacks', { fallback: 'second_payment_provider' });
      log.warn(
        { orderId, provider },
        'payment goes to another gateway, since the one before is known not to have charged',
      );
    },
    contradiction({ key, providers }) {
      log.error({ key, providers }, 'more than one payment gateway had an effect under a key: somebody must look');
    },
  };

  const carrier = guardedCarrier(
    tracedCarrier(measuredCarrier(closing(httpCarrier(config.CARRIER_URL, options)), metrics), tracing),
    guard('carrier'),
  );
  const quotes = tracedQuotes(measuredQuotes(closing(httpQuotes(config.CARRIER_URL, options)), metrics), tracing);
  const riskAt = (url: string) => {
    const risk = tracedRisk(measuredRisk(closing(httpRiskService(url, options)), metrics), tracing);
    return {
      service: {
        assess: guardedCall(guard('risk'), (...args: Parameters<RiskService['assess']>) => risk.assess(...args)),
      },
      fellBack: () => metrics.count('fallbacks', { fallback: 'screening_review' }),
    };
  };

  const routes = postgresPaymentRoutes(db, LONGEST_ATTEMPT_MS);
  return {
    gateway: failoverGateway([first, ...others], routes, observer),
    routes: others.length === 0 ? undefined : routes,
    /**
     * Throws `ConfigError` while payments of open orders are with a gateway that the settings name no more: it alone
     * can capture, void and refund them, and another would be asked for the same money.
     */
    async requireKnownGateways(): Promise<void> {
      const strangers = await routes.strangers([first, ...others].map(([name]) => name));
      if (strangers.length === 0) return;
      throw new ConfigError(
        `payments of open orders are with ${strangers.join(', ')}: name it in PAYMENT_GATEWAY_FALLBACK_URLS until these orders are at their end.`,
      );
    },
    carrier,
    quotes: { quote: guardedCall(guard('quotes'), (...args: Parameters<Quotes['quote']>) => quotes.quote(...args)) },
    risk: config.RISK_URL === undefined ? undefined : riskAt(config.RISK_URL),
    async close(): Promise<void> {
      await Promise.all(closers.map((close) => close()));
    },
  };
}
