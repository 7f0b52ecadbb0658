import { metrics } from '../telemetry/metric-names.ts';
import { quantile, rate, shareWithin } from './dashboard-queries.ts';
import type { Dashboard } from './dashboard-panels.ts';
import { worst } from './queries.ts';

/** What becomes of orders, what they wait for, and what the providers do. */
export const orders: Dashboard = {
  uid: 'evenkeel-orders',
  title: 'Evenkeel: orders',
  description: 'What becomes of orders, what they wait for, and how their providers do',
  sections: [
    {
      title: 'Flow',
      panels: [
        {
          title: 'Accepted and finished',
          type: 'timeseries',
          unit: 'reqps',
          queries: [
            { expr: rate('ordersAccepted'), legend: 'accepted' },
            { expr: rate('ordersFinished', 'outcome'), legend: '{{outcome}}' },
          ],
        },
        {
          title: 'Time to confirmation',
          type: 'timeseries',
          unit: 's',
          queries: [0.5, 0.95, 0.99].map((share) => ({ expr: quantile(share, 'orderSeconds'), legend: `${share}` })),
          bad: { from: 0.5 },
        },
        {
          title: 'Confirmed within 500 ms',
          description: 'By the processes that confirmed; the objective itself counts in the records.',
          type: 'timeseries',
          unit: 'percentunit',
          queries: [{ expr: shareWithin(0.5, 'orderSeconds'), legend: 'share' }],
        },
      ],
    },
    {
      title: 'What waits',
      panels: [
        {
          title: 'Open orders',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: worst('openOrders', {}, 'status'), legend: '{{status}}' }],
        },
        {
          title: 'Waiting for a person',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: `${worst('openAttentions', {}, 'step')} > 0`, legend: '{{step}}' }],
        },
        {
          title: 'Oldest of what should not wait',
          type: 'timeseries',
          unit: 's',
          queries: [
            { expr: worst('oldestStartable'), legend: 'order without a workflow' },
            { expr: worst('oldestUnknownPayment'), legend: 'payment without an outcome' },
          ],
        },
        {
          title: 'Ledger violations',
          type: 'stat',
          unit: 'short',
          width: 12,
          queries: [{ expr: worst('violations', {}, 'kind'), legend: '{{kind}}' }],
          bad: { from: 1 },
        },
        {
          title: 'Failed compensations',
          type: 'stat',
          unit: 'short',
          width: 12,
          queries: [{ expr: worst('failedCompensations') }],
          bad: { from: 1 },
        },
      ],
    },
    {
      title: 'Steps and providers',
      panels: [
        {
          title: 'Attempts of activities that failed',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('activityAttempts', 'activity', { outcome: 'failed' }), legend: '{{activity}}' }],
        },
        {
          title: 'Slowest tenth of attempts',
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: quantile(0.9, 'activitySeconds', 'activity'), legend: '{{activity}}' }],
        },
        {
          title: 'Compensations',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('compensations', 'step'), legend: '{{step}}' }],
        },
        {
          title: 'Calls to providers',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('providerCalls', 'provider, outcome'), legend: '{{provider}} {{outcome}}' }],
        },
        {
          title: 'Slowest hundredth of calls',
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: quantile(0.99, 'providerSeconds', 'provider'), legend: '{{provider}}' }],
        },
        {
          title: 'Task queue',
          description: "Temporal's own word, as the API hears it: true while no worker runs.",
          type: 'timeseries',
          unit: 'short',
          queries: [
            { expr: worst('taskQueueBacklog', {}, 'kind'), legend: '{{kind}} tasks' },
            { expr: worst('taskQueueBacklogAge', {}, 'kind'), legend: '{{kind}}: oldest, in seconds' },
            { expr: `min by (kind) (${metrics.taskQueuePollers.name})`, legend: '{{kind}}: workers' },
          ],
        },
      ],
    },
  ],
};
