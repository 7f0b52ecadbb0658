import { readFile } from 'node:fs/promises';
import { collectDefaultMetrics } from 'prom-client';
import type { Metrics } from './metrics.ts';

export interface ProcessFacts {
  /** The program's version. */
  readonly version: string;
  /** This process's connections to PostgreSQL. */
  readonly pool: () => { readonly total: number; readonly idle: number; readonly waiting: number };
  /** Where Linux tells of its network interfaces; for tests. */
  readonly networkFile?: string;
}

/**
 * What the process itself uses, read at each scrape: its connections, the network, and prom-client's own metrics of
 * CPU, memory, event loop and garbage collection (`process_*`, `nodejs_*`).
 */
export function processMetrics(metrics: Metrics, facts: ProcessFacts): void {
  collectDefaultMetrics({ register: metrics.registry });
  metrics.set('buildInfo', { version: facts.version, node: process.versions.node }, 1);
  metrics.onScrape(() => {
    const pool = facts.pool();
    for (const state of ['total', 'idle', 'waiting'] as const) metrics.set('storePool', { state }, pool[state]);
  });
  metrics.onScrape(networkReader(metrics, facts.networkFile ?? '/proc/self/net/dev'));
}

/** An interface that goes takes its count with it, and one that comes again begins anew: only what is more is added. */
function networkReader(metrics: Metrics, file: string): () => Promise<void> {
  const before = new Map<string, Traffic>();
  return async () => {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) {
      metrics.clear('networkBytes');
      return;
    }
    for (const [name, now] of interfacesIn(text)) {
      const last = before.get(name);
      for (const direction of ['received', 'sent'] as const) {
        const grown = now[direction] - (last?.[direction] ?? 0);
        metrics.count('networkBytes', { direction }, grown < 0 ? now[direction] : grown);
      }
      before.set(name, now);
    }
  };
}

interface Traffic {
  readonly received: number;
  readonly sent: number;
}

/** `name: bytes packets errs drop fifo frame compressed multicast  bytes packets …`, received and then sent; proc(5). */
function interfacesIn(text: string): [string, Traffic][] {
  return [...text.matchAll(/^\s*([^\s:]+):\s*(\d+)(?:\s+\d+){7}\s+(\d+)/gm)].map(([, name = '', received, sent]) => [
    name,
    { received: Number(received), sent: Number(sent) },
  ]);
}
