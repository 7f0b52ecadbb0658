import { metrics } from '../telemetry/metric-names.ts';
import { foreign, foreignRate, quantile, rate } from './dashboard-queries.ts';
import type { Dashboard } from './dashboard-panels.ts';
import { worst } from './queries.ts';

/** The program's processes, what they speak to, and the store. */
export const processes: Dashboard = {
  uid: 'evenkeel-processes',
  title: 'Evenkeel: processes and store',
  description: 'API and worker processes, Temporal and PostgreSQL as they see them',
  sections: [
    {
      title: 'HTTP',
      panels: [
        {
          title: 'Requests',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('httpRequests', 'status'), legend: '{{status}}' }],
        },
        {
          title: 'Routes that answer 5xx',
          type: 'timeseries',
          unit: 'reqps',
          queries: [
            { expr: `${rate('httpRequests', 'method, route', { status: '5xx' })} > 0`, legend: '{{method}} {{route}}' },
          ],
        },
        {
          title: 'Slowest hundredth by route',
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: `topk(10, ${quantile(0.99, 'httpSeconds', 'route')})`, legend: '{{route}}' }],
        },
      ],
    },
    {
      title: 'Processes',
      panels: [
        {
          title: 'Up',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: `sum by (job) (${foreign.up})`, legend: '{{job}}' }],
        },
        {
          title: 'Versions',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: `count by (job, version) (${metrics.buildInfo.name})`, legend: '{{job}} {{version}}' }],
        },
        {
          title: 'Processor',
          description: 'Cores in use.',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: foreignRate('cpuSeconds', 'job, instance'), legend: '{{job}} {{instance}}' }],
        },
        {
          title: 'Memory',
          type: 'timeseries',
          unit: 'bytes',
          queries: [{ expr: `max by (job, instance) (${foreign.memoryBytes})`, legend: '{{job}} {{instance}}' }],
        },
        {
          title: 'Event loop lag, slowest hundredth',
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: `max by (job, instance) (${foreign.eventLoopLag})`, legend: '{{job}} {{instance}}' }],
        },
        {
          title: 'Network',
          type: 'timeseries',
          unit: 'Bps',
          queries: [{ expr: rate('networkBytes', 'job, direction'), legend: '{{job}} {{direction}}' }],
        },
      ],
    },
    {
      title: 'Temporal',
      panels: [
        {
          title: 'Requests to Temporal',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('temporalRequests', 'operation, outcome'), legend: '{{operation}} {{outcome}}' }],
        },
        {
          title: 'Workflows',
          type: 'timeseries',
          unit: 'reqps',
          queries: [
            { expr: rate('workflowsStarted', 'workflow'), legend: '{{workflow}} started' },
            { expr: rate('workflowsClosed', 'workflow, outcome'), legend: '{{workflow}} {{outcome}}' },
          ],
        },
        {
          title: 'Signals and updates',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('workflowMessages', 'message'), legend: '{{message}}' }],
        },
        {
          title: 'Free slots of workers',
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: `min by (worker_type) (${foreign.slotsAvailable})`, legend: '{{worker_type}}' }],
        },
        {
          title: 'Workflow tasks that failed',
          type: 'timeseries',
          unit: 'reqps',
          queries: [
            {
              expr: foreignRate('taskFailures', 'workflow_type, failure_reason'),
              legend: '{{workflow_type}} {{failure_reason}}',
            },
          ],
        },
        {
          title: 'Requests of the SDK that failed',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: foreignRate('requestFailures', 'operation'), legend: '{{operation}}' }],
        },
      ],
    },
    {
      title: 'PostgreSQL',
      panels: [
        {
          title: 'Statements',
          type: 'timeseries',
          unit: 'reqps',
          queries: [{ expr: rate('storeStatements', 'job, outcome'), legend: '{{job}} {{outcome}}' }],
        },
        {
          title: 'Statements, slowest hundredth',
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: quantile(0.99, 'storeSeconds', 'job'), legend: '{{job}}' }],
        },
        {
          title: "Processes' connections",
          type: 'timeseries',
          unit: 'short',
          queries: [{ expr: `sum by (job, state) (${metrics.storePool.name})`, legend: '{{job}} {{state}}' }],
        },
        {
          title: 'Connections of everybody',
          type: 'timeseries',
          unit: 'percentunit',
          queries: [{ expr: `${worst('storeConnections')} / ${worst('storeConnectionsMax')}`, legend: 'taken' }],
          bad: { from: 0.85 },
        },
        {
          title: 'Size',
          type: 'timeseries',
          unit: 'bytes',
          queries: [
            { expr: worst('storeBytes'), legend: 'database' },
            { expr: `${worst('storeBytesMax')} > 0`, legend: 'limit' },
          ],
        },
        {
          title: 'Age of the facts',
          description: 'Seconds since the API was last told.',
          type: 'timeseries',
          unit: 's',
          queries: [{ expr: `time() - ${worst('factsReadAt', {}, 'source')}`, legend: '{{source}}' }],
          bad: { from: 120 },
        },
      ],
    },
  ],
};
