/** How long to wait before the next attempt to connect. */
export interface Reconnection {
  /** There was no connection. */
  failed(): void;
  /** There was one, for so long. */
  broke(livedMs: number): void;
  /** Half of it jitter; longer with each failure on end. */
  delayMs(): number;
}

const FIRST_MS = 100;
const LONGEST_MS = 10_000;
/**
 * One that ends sooner was no success: whatever ended it, such as a message that the library cannot read, may well be the
 * first that comes over the next.
 */
export const YOUNG_MS = 10_000;

export function reconnection(random: () => number = Math.random): Reconnection {
  let failures = 0;
  return {
    failed: () => {
      failures += 1;
    },
    broke: (livedMs) => {
      failures = livedMs < YOUNG_MS ? failures + 1 : 1;
    },
    delayMs: () => Math.min(LONGEST_MS, FIRST_MS * 2 ** (Math.max(failures, 1) - 1)) * (0.5 + random() / 2),
  };
}
