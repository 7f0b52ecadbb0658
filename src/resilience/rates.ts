import { type IpAddress, notPublic, parseAddress, unmapped } from '../domain/ip-address.ts';
import type { Rate, RateLimits, Rates, Verdict } from '../domain/overload-ports.ts';
import { createRemembered } from './remembered.ts';

export interface RateLimitDeps {
  readonly rates: Pick<Rates, 'lease'>;
  /** Told once when what is shared cannot be reached, so that each process limits by itself, and once when it can again. */
  readonly reach?: (is: 'away' | 'back', error?: unknown) => void;
  /** Monotonic, in milliseconds. */
  readonly now?: () => number;
}

/** What is leased and not used by then is lost: whoever comes back later finds no more than the others. */
const LEASE_MS = 1_000;
/** A lease that is used up sooner makes the next twice as large; one that lasts four times as long, half as large. */
const AIM_MS = 200;
/** Of a second's worth; what a process may hold of a caller's. */
const LARGEST_SHARE = 0.2;
/** A store that is slower than this hinders nobody: it counts as away. */
const PATIENCE_MS = 250;
/** While the store is away it is asked no more often than this, for all callers together. */
const AWAY_MS = 1_000;
/** A caller with too few left is not asked for again before this: a flood costs the store 20 statements a second. */
const EMPTY_MS = 50;
const MOST_CALLERS = 10_000;
const MOST_ADDRESSES = 10_000;
const FAILURES_PER_MINUTE = 10;
const MINUTE_MS = 60_000;

interface Account {
  left: number;
  leasedAt: number;
  chunk: number;
  /** Requests that wait for the lease that is under way. */
  waiting: number;
  emptyUntil: number;
  lease: Promise<void> | undefined;
  /** What the caller has left of this process while the store is away. */
  readonly alone: Bucket;
}

interface Bucket {
  left: number;
  at: number;
}

/**
 * Limits callers by a rate that all processes share, without asking the store for each request: a process leases
 * requests in chunks, as large as it uses up in a fifth of a second. In any time t all processes together let
 * `burst + perSecond × t` requests of a caller pass, and what was leased before: 20 % of `perSecond` for each process
 * at most. While the store is away each process limits by itself: a flood must not turn off what holds it back by being
 * so large that the store gets slow.
 */
export function createRateLimits(
  { rates, reach = () => undefined, now = () => performance.now() }: RateLimitDeps,
  rate: Rate,
): RateLimits {
  const accounts = createRemembered<Account>(MOST_CALLERS);
  const perMs = rate.perSecond / 1_000;
  const newAccount = (): Account => ({ ...unleased, alone: { left: rate.burst, at: now() } });
  const attempts = createAttempts(now);
  const largest = Math.max(1, Math.floor(Math.min(rate.perSecond * LARGEST_SHARE, rate.burst)));
  let awayUntil = 0;
  let away = false;

  function tell(is: 'away' | 'back', error?: unknown): void {
    if (away === (is === 'away')) return;
    away = is === 'away';
    reach(is, error);
  }

  function chunkOf(account: Account): number {
    const lastedMs = now() - account.leasedAt;
    if (lastedMs <= AIM_MS) account.chunk *= 2;
    else if (lastedMs > 4 * AIM_MS) account.chunk /= 2;
    account.chunk = Math.min(largest, Math.max(1, account.chunk));
    return Math.min(largest, Math.max(account.waiting, Math.ceil(account.chunk)));
  }

  async function lease(caller: string, account: Account): Promise<void> {
    const wanted = chunkOf(account);
    // Before it is asked for, so that the store's own time is not added to the lease's.
    const leasedAt = now();
    try {
      const granted = await inTime(rates.lease(caller, wanted, rate));
      account.left = granted;
      account.leasedAt = leasedAt;
      // Less than was asked for: the rest is for others. Whoever asked again at once would have that too.
      if (granted < wanted)
        account.emptyUntil = now() + Math.max(emptyMs(), granted === 0 ? 1_000 / rate.perSecond : 0);
      tell('back');
    } catch (error) {
      awayUntil = now() + AWAY_MS;
      tell('away', error);
    }
  }

  function takeAlone({ alone }: Account): Verdict {
    refill(alone, { perMs, most: rate.burst, now: now() });
    if (alone.left < 1) return { allowed: false, retryAfterMs: (1 - alone.left) / perMs };
    alone.left -= 1;
    return { allowed: true };
  }

  return {
    async take(caller) {
      const account = accounts.get(caller, newAccount);
      for (;;) {
        if (now() < awayUntil) return takeAlone(account);
        if (account.left >= 1 && now() - account.leasedAt < LEASE_MS) {
          account.left -= 1;
          return { allowed: true };
        }
        if (now() < account.emptyUntil) return { allowed: false, retryAfterMs: account.emptyUntil - now() };
        account.waiting += 1;
        account.lease ??= lease(caller, account).finally(() => {
          account.lease = undefined;
          account.waiting = 0;
        });
        await account.lease;
      }
    },
    ...attempts,
  };
}

/** Uneven, so that it is not always the same process that asks first. */
function emptyMs(): number {
  return EMPTY_MS * (0.75 + Math.random() / 2);
}

const unleased = {
  left: 0,
  leasedAt: -Infinity,
  chunk: 1,
  waiting: 0,
  emptyUntil: -Infinity,
  lease: undefined,
} as const;

function refill(bucket: Bucket, { perMs, most, now }: { perMs: number; most: number; now: number }): void {
  bucket.left = Math.min(most, bucket.left + (now - bucket.at) * perMs);
  bucket.at = now;
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ten failures a minute for each address that is public. Behind one that is not stand many, a load balancer's
 * customers above all: whoever of them guesses would lock out the others, and 256 bits are not guessed.
 */
function createAttempts(now: () => number): Pick<RateLimits, 'mayTry' | 'failed'> {
  const buckets = createRemembered<Bucket>(MOST_ADDRESSES);
  const perMs = FAILURES_PER_MINUTE / MINUTE_MS;

  function bucketOf(network: string): Bucket {
    const bucket = buckets.get(network, () => ({ left: FAILURES_PER_MINUTE, at: now() }));
    refill(bucket, { perMs, most: FAILURES_PER_MINUTE, now: now() });
    return bucket;
  }

  return {
    mayTry(address): Verdict {
      const network = networkOf(address);
      if (network === undefined || !buckets.has(network)) return { allowed: true };
      const { left } = bucketOf(network);
      return left >= 1 ? { allowed: true } : { allowed: false, retryAfterMs: (1 - left) / perMs };
    },
    failed(address) {
      const network = networkOf(address);
      if (network === undefined) return;
      const bucket = bucketOf(network);
      bucket.left = Math.max(0, bucket.left - 1);
    },
  };
}

/** What one party has at its disposal: an IPv4 address, or the /64 of an IPv6 one. Undefined where it is not public. */
function networkOf(text: string): string | undefined {
  const parsed = parseAddress(text);
  const address: IpAddress | undefined = parsed && unmapped(parsed);
  if (address === undefined || notPublic(address) !== undefined) return undefined;
  return address.family === 4 ? `4:${address.value}` : `6:${address.value >> 64n}`;
}
