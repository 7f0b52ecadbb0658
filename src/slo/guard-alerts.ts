import type { AlertRule } from './alert-rule.ts';
import { metrics } from '../telemetry/metric-names.ts';
import { least, type Pace, select, worst } from './queries.ts';

const ticket = { severity: 'ticket' } as const;
const DAY = 86_400;

/** Of what protects the work: what keeps on, what was left behind, and what will end on a day that is known. */
export function guardAlerts(pace: Pace): readonly AlertRule[] {
  const opened = select(metrics.breakerState.name, { state: 'open' });
  return [
    {
      alert: 'BreakerOpen',
      // It is half-open for a moment each minute at least, and may be when it is looked at.
      expr: `max by (breaker) (max_over_time(${opened}[${pace.of(180)}])) > 0`,
      forSeconds: 900,
      labels: ticket,
      summary: 'The provider behind the breaker {{ $labels.breaker }} does not recover',
      description:
        'A process has not been able to close its breaker {{ $labels.breaker }} for a quarter of an hour: what needs the provider waits.',
    },
    {
      alert: 'BreakerForced',
      expr: `${worst('breakerForcedSeconds', {}, 'breaker')} > ${DAY}`,
      labels: ticket,
      summary: 'The breaker {{ $labels.breaker }} is still forced',
      description:
        'Somebody forced it {{ $value | humanizeDuration }} ago, and {{ $labels.breaker }} does not decide by itself since then.',
    },
    {
      alert: 'ApiKeyExpiring',
      expr: `${least('keyExpirySeconds')} < ${14 * DAY}`,
      labels: ticket,
      summary: 'An API key that is in use expires soon',
      description: 'Whoever uses it is refused in {{ $value | humanizeDuration }}.',
    },
    {
      alert: 'CertificateExpiring',
      expr: `${least('certificateExpirySeconds', 'connection')} < ${14 * DAY}`,
      labels: ticket,
      summary: 'The certificate for {{ $labels.connection }} expires soon',
      description: 'Connections to {{ $labels.connection }} fail in {{ $value | humanizeDuration }}.',
    },
  ];
}
