import type { Objective } from '../domain/objectives.ts';
import { events } from './dashboard-events.ts';
import { objectivesDashboard } from './dashboard-objectives.ts';
import { orders } from './dashboard-orders.ts';
import { type Dashboard, grafanaModel } from './dashboard-panels.ts';
import { processes } from './dashboard-processes.ts';

/** Every dashboard: made from the objectives and from the names of metrics, so that none can drift from them. */
export function allDashboards(objectives: readonly Objective[]): readonly Dashboard[] {
  return [objectivesDashboard(objectives), orders, events, processes];
}

/** The dashboards as files for Grafana's provisioning; paths are those within `ops/`. */
export function dashboards(
  objectives: readonly Objective[],
): readonly { readonly path: string; readonly text: string }[] {
  return allDashboards(objectives).map((dashboard) => ({
    path: `grafana/dashboards/${dashboard.uid}.json`,
    text: `${JSON.stringify(grafanaModel(dashboard), null, 2)}\n`,
  }));
}
