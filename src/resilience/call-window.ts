/** The calls of the last while, counted in buckets, so that old ones leave by themselves and none is kept. */
export interface CallWindow {
  /** Oldest first. */
  readonly buckets: readonly Bucket[];
}

interface Bucket {
  /** How many bucket lengths after the clock's zero it began. */
  readonly at: number;
  readonly calls: number;
  readonly failures: number;
}

export interface Counts {
  readonly calls: number;
  readonly failures: number;
}

/** More of them would be more exact than the threshold is. */
const BUCKETS = 10;

export const emptyWindow: CallWindow = { buckets: [] };

export function counted({ buckets }: CallWindow, failed: boolean, windowMs: number, nowMs: number): CallWindow {
  const at = bucketAt(windowMs, nowMs);
  const recent = buckets.filter((bucket) => bucket.at > at - BUCKETS && bucket.at !== at);
  const now = buckets.find((bucket) => bucket.at === at) ?? { at, calls: 0, failures: 0 };
  return {
    buckets: [...recent, { at, calls: now.calls + 1, failures: now.failures + (failed ? 1 : 0) }],
  };
}

export function countsOf({ buckets }: CallWindow, windowMs: number, nowMs: number): Counts {
  const oldest = bucketAt(windowMs, nowMs) - BUCKETS;
  let [calls, failures] = [0, 0];
  for (const bucket of buckets) {
    if (bucket.at <= oldest) continue;
    calls += bucket.calls;
    failures += bucket.failures;
  }
  return { calls, failures };
}

function bucketAt(windowMs: number, nowMs: number): number {
  return Math.floor((nowMs * BUCKETS) / windowMs);
}
