import type { AnsweredRequest } from '../api/deps.ts';
import { metrics as specs } from './metric-names.ts';
import type { Labels, Metrics } from './metrics.ts';

type Method = Labels<'httpRequests'>['method'];
type Status = Labels<'httpRequests'>['status'];

const methods: ReadonlySet<string> = new Set(specs.httpRequests.labels.method);
/** The answer to a method that the route does not have: whoever sends it chose that method freely. */
const METHOD_NOT_ALLOWED = 405;

/** Counts the API's requests, and among them those of `/v1` that its objective is about. */
export function httpMetrics(metrics: Metrics): (answered: AnsweredRequest) => void {
  return ({ method, route, status, durationMs }) => {
    metrics.count('httpRequests', { method: methodOf(method, status), route, status: statusOf(status) });
    if (status === null) return;
    metrics.observe('httpSeconds', { route }, durationMs / 1000);
    if (!route.startsWith('/v1/')) return;
    metrics.count('apiRequests', {});
    if (status < 500) metrics.count('apiGood', {});
  };
}

function methodOf(method: string, status: number | null): Method {
  return methods.has(method) && status !== METHOD_NOT_ALLOWED ? (method as Method) : 'other';
}

/** By its first digit. The HTTP server sends no 1xx as an answer. */
function statusOf(status: number | null): Status {
  if (status === null) return 'aborted';
  return status < 300 ? '2xx' : status < 400 ? '3xx' : status < 500 ? '4xx' : '5xx';
}
