import type { AlertRule } from './alert-rule.ts';
import { type Pace, recorded, worst } from './queries.ts';

const ticket = { severity: 'ticket' } as const;

/** What is likely to cost budget, and can wait for the morning: what it does to customers pages by itself. */
export function causeAlerts(pace: Pace): readonly AlertRule[] {
  return [
    {
      alert: 'TaskQueueBacklogOld',
      expr: `${worst('taskQueueBacklogAge', {}, 'kind')} > 60`,
      forSeconds: 120,
      labels: ticket,
      summary: 'Workers do not keep up with {{ $labels.kind }} tasks',
      description: 'The oldest task that no worker has taken is {{ $value | humanizeDuration }} old.',
    },
    {
      alert: 'DeadLettersGrowing',
      expr: `${recorded.deadLetters} - min_over_time(${recorded.deadLetters}[${pace.of(3_600)}]) > 0`,
      labels: ticket,
      summary: 'Events could not be delivered and were put aside',
      description: 'There are {{ $value | humanize }} more dead letters than at the fewest within the last hour.',
    },
    {
      alert: 'ParkedOrderMessages',
      expr: `${worst('parkedMessages')} > 0`,
      labels: ticket,
      summary: 'Orders from RabbitMQ could not be accepted',
      description: '{{ $value | humanize }} order messages are among the dead letters of RabbitMQ.',
    },
    {
      alert: 'ConsumerInTrouble',
      expr: `${worst('consumers', { state: 'in_trouble' })} > 0`,
      forSeconds: 900,
      labels: ticket,
      summary: 'Consumers fail and are being probed',
      description: '{{ $value | humanize }} consumers have been in trouble for a quarter of an hour.',
    },
    {
      alert: 'ConsumerDisabled',
      expr: `${worst('consumers', { state: 'disabled' })} > 0`,
      labels: ticket,
      summary: 'Consumers are disabled, and their events are held',
      description: '{{ $value | humanize }} consumers get nothing until a person enables or deletes them.',
    },
  ];
}
