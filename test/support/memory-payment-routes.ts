import type { PaymentRoute, PaymentRoutes } from '../../src/domain/provider-ports.ts';

interface Row {
  readonly provider: string;
  sentAtMs: number;
  attempts: readonly string[];
  cleared: boolean;
}

/** Routes in memory, by the clock `nowMs`. */
export function memoryPaymentRoutes(nowMs: () => number, longestAttemptMs: number): PaymentRoutes {
  const keys = new Map<string, Row[]>();
  let count = 0;
  const rowsOf = (key: string): Row[] => {
    const rows = keys.get(key) ?? [];
    keys.set(key, rows);
    return rows;
  };
  const open = (key: string, provider: string): Row => {
    const rows = rowsOf(key);
    const row = rows.find((one) => one.provider === provider) ?? { provider, sentAtMs: 0, attempts: [], cleared: true };
    if (!rows.includes(row)) rows.push(row);
    row.cleared = false;
    row.sentAtMs = nowMs();
    return row;
  };

  return {
    async open(key, _orderId, providers) {
      count += 1;
      const attempt = `attempt-${count}`;
      const rows = rowsOf(key);
      const current = rows.find(({ cleared }) => !cleared);
      const untried = providers.find((provider) => rows.every((row) => row.provider !== provider));
      const longestAgo = rows.toSorted((a, b) => a.sentAtMs - b.sentAtMs)[0];
      const provider = current?.provider ?? untried ?? longestAgo?.provider ?? '';
      const row = open(key, provider);
      row.attempts = [...row.attempts, attempt];
      return { provider, attempt, isNew: current === undefined && untried !== undefined };
    },
    async withdraw(key, { provider, attempt }) {
      const row = rowsOf(key).find((one) => one.provider === provider && !one.cleared);
      if (row === undefined || !row.attempts.includes(attempt)) return false;
      row.attempts = row.attempts.filter((one) => one !== attempt);
      row.cleared = row.attempts.length === 0;
      return row.cleared;
    },
    async find(key) {
      return rowsOf(key).map(({ provider, attempts, cleared, sentAtMs }): PaymentRoute => ({
        provider,
        attempts,
        cleared,
        isOver: nowMs() - sentAtMs > longestAttemptMs,
      }));
    },
    async clear(key, { provider, attempts }) {
      const row = rowsOf(key).find((one) => one.provider === provider && !one.cleared);
      if (row === undefined || row.attempts.join() !== attempts.join()) return;
      row.attempts = [];
      row.cleared = true;
    },
    async suspect(key, ownerOf) {
      const provider = ownerOf(undefined);
      if (rowsOf(key).length === 0) open(key, provider).attempts = ['unknown'];
      return provider;
    },
    doubtful: () => Promise.resolve([]),
    strangers: () => Promise.resolve([]),
  };
}
