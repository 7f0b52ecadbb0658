import type { Metrics } from './metrics.ts';

/** When the certificate of a connection ends; undefined where there is none, or no connection. */
export type CertificateEnd = () => Promise<Date | undefined> | Date | undefined;

type Connection = 'temporal' | 'postgres' | 'rabbitmq';

/** It ends in days: more often is no use, and at Temporal each look is a connection of its own. */
const EVERY_MS = 60_000;

/**
 * Shows at each scrape how long the certificates of connections last, as they were found by the one before. One that cannot be asked for keeps what it showed:
 * that its connection is gone is for others to say. One without TLS shows nothing.
 */
export function certificateMetrics(
  metrics: Metrics,
  ends: Readonly<Partial<Record<Connection, CertificateEnd>>>,
  now: () => number = () => Date.now(),
): void {
  const known = new Map<string, Date>();
  let askedAt = -Infinity;
  const ask = async (connection: string, endOf: CertificateEnd): Promise<void> => {
    const end = await endOf();
    if (end !== undefined) known.set(connection, end);
  };
  metrics.onScrape(() => {
    if (now() - askedAt >= EVERY_MS) {
      askedAt = now();
      // A server that does not answer holds up no scrape.
      for (const [connection, endOf] of Object.entries(ends)) ask(connection, endOf).catch(() => undefined);
    }
    for (const [connection, end] of known) {
      metrics.set('certificateExpirySeconds', { connection: connection as Connection }, (end.getTime() - now()) / 1000);
    }
  });
}
