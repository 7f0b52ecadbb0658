import { breakerNames, breakerStates } from '../domain/breakers.ts';
import type { MetricSpec } from './metric-names.ts';

/** Metrics of what stands between the work and its overload, its providers and its callers. */
export const resilienceMetrics = {
  breakerState: {
    name: 'evenkeel_breaker_state',
    type: 'gauge',
    help: "1 for the state that this process's breaker is in, 0 for the others",
    labels: { breaker: breakerNames, state: breakerStates },
    from: 'process',
  },
  breakerTransitions: {
    name: 'evenkeel_breaker_transitions_total',
    type: 'counter',
    help: 'Changes of a breaker, by the state that it came to',
    labels: { breaker: breakerNames, state: breakerStates },
    from: 'process',
  },
  breakerForcedSeconds: {
    name: 'evenkeel_breaker_forced_seconds',
    type: 'gauge',
    help: 'How long an operator has forced the breaker; 0 where it decides by itself',
    labels: { breaker: breakerNames },
    from: 'records',
  },
  callsRefused: {
    name: 'evenkeel_provider_calls_refused_total',
    type: 'counter',
    help: 'Calls that were not made, because the breaker was open or as many ran as may',
    labels: { breaker: breakerNames, by: ['breaker', 'bulkhead'] },
    from: 'process',
  },
  callsInFlight: {
    name: 'evenkeel_provider_calls_in_flight',
    type: 'gauge',
    help: 'Calls of a provider that run now',
    labels: { breaker: breakerNames },
    from: 'process',
  },
  fallbacks: {
    name: 'evenkeel_fallbacks_total',
    type: 'counter',
    help: 'Times that another way was taken because a provider could not be asked',
    labels: { fallback: ['screening_review', 'last_known_quote', 'second_payment_provider'] },
    from: 'process',
  },
  requestsShed: {
    name: 'evenkeel_api_requests_shed_total',
    type: 'counter',
    help: 'Requests refused with 503 so that what is accepted meets its objective, by priority',
    labels: { priority: ['normal', 'background'] },
    from: 'process',
  },
  requestsLimited: {
    name: 'evenkeel_api_requests_rate_limited_total',
    type: 'counter',
    help: 'Requests refused with 429, because their caller asks too often or fails to say who it is',
    labels: { by: ['caller', 'unauthenticated'] },
    from: 'process',
  },
  pressure: {
    name: 'evenkeel_overload_pressure',
    type: 'gauge',
    help: '0 while nothing is shed, 1 while background requests are, 2 while new orders are',
    labels: {},
    from: 'process',
  },
  authentications: {
    name: 'evenkeel_api_authentications_total',
    type: 'counter',
    help: 'Requests by whether they proved whom they come from, and might do what they asked for',
    labels: { outcome: ['allowed', 'denied', 'unauthenticated', 'unavailable'] },
    from: 'process',
  },
  keyExpirySeconds: {
    name: 'evenkeel_api_key_expiry_seconds',
    type: 'gauge',
    help: 'Time until the next API key expires that was used within a week; a year where there is none',
    labels: {},
    from: 'records',
  },
  certificateExpirySeconds: {
    name: 'evenkeel_certificate_expiry_seconds',
    type: 'gauge',
    help: 'Time until the certificate that this process presents or trusts for a connection expires',
    labels: { connection: ['temporal', 'postgres', 'rabbitmq'] },
    from: 'process',
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
