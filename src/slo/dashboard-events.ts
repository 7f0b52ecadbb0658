import { quantile, rate, shareWithin } from './dashboard-queries.ts';
import type { Dashboard } from './dashboard-panels.ts';
import { worst } from './queries.ts';

/** Events on their way, and how each consumer does. */
export const events: Dashboard = {
  uid: 'evenkeel-events',
  title: 'Evenkeel: events and consumers',
  description: 'Events on their way, how consumers do, and what could not be delivered',
  sections: [
    {
      title: 'Deliveries',
      panels: [
        {
          title: 'Published',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('eventsPublished', 'type'), legend: '{{type}}' }],
        },
        {
          title: 'Attempts',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('deliveryAttempts', 'outcome'), legend: '{{outcome}}' }],
        },
        {
          title: 'Failures by type',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('deliveryAttempts', 'type', { outcome: 'failed' }), legend: '{{type}}' }],
        },
        {
          title: 'From the event to its delivery',
          type: 'timeseries',
          unit: 's',
          queries: [0.5, 0.95, 0.99].map((share) => ({ expr: quantile(share, 'deliverySeconds'), legend: `${share}` })),
          bad: { from: 30 },
        },
        {
          title: 'Delivered within 30 s',
          type: 'timeseries',
          unit: 'percentunit',
          queries: [{ expr: shareWithin(30, 'deliverySeconds'), legend: 'share' }],
        },
        {
          title: "Consumers' answers, slowest tenth",
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: quantile(0.9, 'deliveryAttemptSeconds', 'outcome'), legend: '{{outcome}}' }],
        },
      ],
    },
    {
      title: 'Consumers',
      panels: [
        {
          title: 'Consumer lag',
          description: 'Age of the oldest event that each has not got, from the records: the worst twenty.',
          type: 'timeseries',
          unit: 's',
          width: 12,
          queries: [{ expr: worst('consumerLag', {}, 'consumer'), legend: '{{consumer}}' }],
          bad: { from: 60 },
        },
        {
          title: 'Events that each has not got',
          type: 'timeseries',
          unit: 'short',
          width: 12,
          queries: [{ expr: worst('consumerPending', {}, 'consumer'), legend: '{{consumer}}' }],
        },
        {
          title: 'Consumers by state',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: worst('consumers', {}, 'state'), legend: '{{state}}' }],
        },
        {
          title: 'Dead letters',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: worst('deadLetters'), legend: 'nobody has seen to' }],
        },
        {
          title: 'Parked order messages',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: worst('parkedMessages'), legend: 'parked' }],
        },
      ],
    },
  ],
};
