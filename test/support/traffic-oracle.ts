/** Counts by hand what the rules are to say of random traffic. */
import { LAG_SECONDS, SCRAPE_SECONDS, type Scrape, type World } from './traffic-world.ts';

export const EVALUATION_SECONDS = 15;
/** How old what Prometheus records may be: two scrapes that fail included, and fractions of seconds. */
const LATE_SECONDS = 3 * SCRAPE_SECONDS + LAG_SECONDS + EVALUATION_SECONDS + 2;
/** How long Prometheus takes the last value that it has for the present one. */
const LOOKBACK_SECONDS = 300;
/** How long the rules do. */
const SMOOTHED_SECONDS = 120;

export interface Bounds {
  readonly least: number;
  readonly most: number;
}

/**
 * The very number, where both ends of the window were seen. `none` where Prometheus had seen nothing for two minutes;
 * `fading` while it holds on to the last that was recorded. (It does so here only: rules that are evaluated as time goes
 * by mark the end of what they record.)
 */
export type Known = number | 'none' | 'fading' | 'between';

/** How much of what is judged from records fell within a window that ends at a moment, in seconds since the beginning. */
export type RecordsWithin = (
  count: (second: number) => number,
  at: number,
  seconds: number,
) => Bounds & { readonly known: Known };

/** `isRecorded` tells whether the rules were evaluated at a moment. */
export function recordsOracle({ scrapes, gap }: World, isRecorded: (at: number) => boolean): RecordsWithin {
  const seen = new Map<number, number | undefined>();
  const freshest = (at: number): number | undefined => {
    const key = Number(at.toFixed(3));
    if (!seen.has(key)) seen.set(key, freshestOf(scrapes, key));
    return seen.get(key);
  };
  const lateAfterGap = gap.until + LATE_SECONDS;
  return (count, at, seconds) => {
    const from = at - seconds;
    const now = freshest(at);
    const before = isRecorded(from) ? freshest(from) : undefined;
    const fading = freshest(at - LOOKBACK_SECONDS) !== undefined;
    const fromGap = from >= gap.from - LATE_SECONDS && from < lateAfterGap;
    const begin = fromGap ? Math.min(from, gap.from) : from;
    const until = at < gap.from || at > lateAfterGap ? at - LATE_SECONDS : gap.from - LATE_SECONDS;
    const since = Math.max(from, fromGap ? lateAfterGap : 0, 2 * LATE_SECONDS);
    return {
      known:
        now === undefined
          ? fading
            ? 'fading'
            : 'none'
          : before === undefined
            ? 'between'
            : count(now) - count(before),
      least: Math.max(0, count(until) - count(since)),
      most: count(at) - count(begin - LATE_SECONDS),
    };
  };
}

/** Up to which second the freshest process knew, of those that were seen lately. */
function freshestOf(scrapes: readonly Scrape[], at: number): number | undefined {
  const lately = scrapes.filter((scrape) => scrape.at <= at && scrape.at >= at - SMOOTHED_SECONDS);
  return lately.length === 0 ? undefined : Math.max(...lately.map(({ knows }) => knows));
}

/**
 * Of what processes count: at least what Prometheus saw each of them rise by. At most all that happened and, for those that
 * came or left within the window, what it may add at either edge: half of what one rises by between two looks. Of before
 * `recordedSince`, when the rules were first evaluated, it knows nothing.
 */
export function requestsOracle({ requests, requestScrapes, gap }: World, recordedSince: number) {
  const looksAt = Map.groupBy(requestScrapes, ({ instance }) => instance);
  return (kind: 'events' | 'good', at: number, seconds: number): Bounds => {
    const from = at - seconds;
    let least = 0;
    let guessed = 0;
    for (const looks of looksAt.values()) {
      const within = looks.filter((look) => look.at > from - LATE_SECONDS && look.at <= at);
      let sum = 0;
      for (const [index, look] of within.entries()) {
        const last = within[index - 1];
        if (last === undefined) continue;
        const [before, now] = [last.said[kind], look.said[kind]];
        // Less than before: it began again at zero. Rules that are evaluated after the next look only may not notice.
        const by = now >= before ? now - before : now;
        const next = within[index + 1]?.said[kind] ?? 0;
        if (now < before && next >= before) least = Math.max(0, least - before);
        sum += by;
        if (last.at > Math.max(from, recordedSince) && look.at <= at - LATE_SECONDS) least += by;
      }
      guessed += sum / Math.max(1, within.length - 1);
    }
    // The first look after a gap shows all that happened in it.
    const fromGap = from >= gap.from - LATE_SECONDS && from < gap.until + LATE_SECONDS;
    const begin = (fromGap ? Math.min(from, gap.from) : from) - LATE_SECONDS;
    return { least, most: requests[kind](at) - requests[kind](begin) + guessed };
  };
}
