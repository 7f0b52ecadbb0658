/** Random traffic, and what processes that are restarted, lag, leave or cannot be reached export of it. */
import { type Objective } from '../../src/domain/objectives.ts';
import { metrics } from '../../src/telemetry/metric-names.ts';
import type { PastSeries } from './prometheus-history.ts';

/** What happened, second by second, since the beginning. */
export interface Truth {
  /** Events up to and with a second; of seconds before the beginning none. */
  readonly events: (second: number) => number;
  readonly good: (second: number) => number;
}

/** One look of Prometheus at one process. */
export interface Scrape {
  readonly instance: string;
  /** In seconds since the beginning, with milliseconds. */
  readonly at: number;
  /** Up to this second the process had counted, or read from the records. */
  readonly knows: number;
  /** Of a process that counts by itself: what it said. */
  readonly said: { readonly events: number; readonly good: number };
}

export interface World {
  /** Of the objectives that are judged from records. */
  readonly truths: ReadonlyMap<string, Truth>;
  /** Looks at the processes that export them, in the order of their times. */
  readonly scrapes: readonly Scrape[];
  /** Of the API's requests, all processes together. */
  readonly requests: Truth;
  readonly requestScrapes: readonly Scrape[];
  readonly series: readonly PastSeries[];
  /** When nothing was scraped at all. */
  readonly gap: { readonly from: number; readonly until: number };
}

export const SCRAPE_SECONDS = 15;
/** What a process exports may be so many seconds old. */
export const LAG_SECONDS = 8;

/** Numbers from 0 to 1 that look random and are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function makeWorld(objectives: readonly Objective[], seed: number, seconds: number, epoch: number): World {
  const random = randomOf(seed);
  const gapFrom = seconds * (0.3 + 0.3 * random());
  const gap = { from: gapFrom, until: gapFrom + 300 + 900 * random() };
  const judged = objectives.filter(({ source }) => source === 'records').map(({ name }) => name);
  const truths = new Map(judged.map((name) => [name, truthOf(happenings(random, seconds))]));
  const scrapes = ['api-1', 'api-2']
    .flatMap((instance) => recordScrapes(random, instance, seconds, gap))
    .toSorted((one, other) => one.at - other.at);
  const fleet = requestsOf(random, seconds, gap);
  return {
    truths,
    scrapes,
    requests: fleet.truth,
    requestScrapes: fleet.scrapes,
    gap,
    series: [
      ...[...truths].flatMap(([slo, truth]) => exported(scrapes, epoch, slo, truth)),
      ...exported(fleet.scrapes, epoch),
    ],
  };
}

interface Happenings {
  readonly events: Uint32Array;
  readonly good: Uint32Array;
}

/** Stretches of every kind: idle, a few an hour, some, many; all good, a few bad, half of them, all. */
function happenings(random: () => number, seconds: number): Happenings {
  const events = new Uint32Array(seconds + 1);
  const good = new Uint32Array(seconds + 1);
  let rate = 0;
  let bad = 0;
  let until = 0;
  for (let second = 0; second <= seconds; second += 1) {
    if (second >= until) {
      rate = pick(random, [0, 0.002, 0.05, 1, 12]);
      bad = pick(random, [0, 0, 0.001, 0.02, 0.5, 1]);
      until = second + 120 + random() * 3_600;
    }
    const now = Math.floor(rate) + (random() < rate % 1 ? 1 : 0);
    events[second] = now;
    for (let event = 0; event < now; event += 1) if (random() >= bad) good[second] = (good[second] ?? 0) + 1;
  }
  return { events, good };
}

function pick(random: () => number, values: readonly number[]): number {
  return values[Math.floor(random() * values.length)] ?? 0;
}

function truthOf({ events, good }: Happenings): Truth {
  const sums = [events, good].map((each) => {
    let sum = 0;
    return Float64Array.from(each, (value) => (sum += value));
  });
  const at =
    (index: number) =>
    (second: number): number =>
      second < 0 ? 0 : (sums[index]?.[Math.min(Math.floor(second), events.length - 1)] ?? 0);
  return { events: at(0), good: at(1) };
}

type Span = { readonly from: number; readonly until: number };

/** Every 15 seconds, but for a few that fail, two in a row at most, and for when Prometheus or the process was away. */
function scrapeTimes(random: () => number, life: Span, gap: Span): number[] {
  const times: number[] = [];
  let failures = 0;
  for (let at = life.from + random() * SCRAPE_SECONDS; at < life.until; at += SCRAPE_SECONDS) {
    failures = random() < 0.02 && failures < 2 ? failures + 1 : 0;
    if (failures === 0 && (at < gap.from || at >= gap.until)) times.push(Number((at + random() * 0.2).toFixed(3)));
  }
  return times;
}

/** One process: it is away for a while, and for a while it is far behind. The other one makes up for both. */
function recordScrapes(random: () => number, instance: string, seconds: number, gap: Span): Scrape[] {
  const half = instance === 'api-1' ? 0 : seconds / 2;
  const away = { from: half + random() * 3_000, until: 0 };
  away.until = away.from + 60 + random() * 3_600;
  const behind = half + seconds / 4;
  return scrapeTimes(random, { from: 0, until: seconds }, gap)
    .filter((at) => at < away.from || at >= away.until)
    .map((at) => {
      const lag = at >= behind && at < behind + 1_800 ? 600 : random() * LAG_SECONDS;
      return { instance, at, knows: Math.floor(at - lag), said: { events: 0, good: 0 } };
    });
}

/** Three places, each with one process after the other; each request goes to one that is there. */
function requestsOf(random: () => number, seconds: number, gap: Span) {
  const all = happenings(random, seconds);
  const lives = [0, 1, 2].flatMap((place) => {
    const spans: (Span & { readonly instance: string })[] = [];
    for (let from = place === 0 ? 0 : random() * 3_600; from < seconds;) {
      const until = place === 0 ? Infinity : from + 300 + random() * 7_200;
      // Some come back at the address that they had, some at a new one.
      const name = random() < 0.5 ? `place-${place}` : `place-${place}-${spans.length}`;
      spans.push({ instance: name, from, until });
      from = until + 20 + random() * 120;
    }
    return spans;
  });
  const counted = lives.map(() => ({ events: new Uint32Array(seconds + 1), good: new Uint32Array(seconds + 1) }));
  for (let second = 0; second <= seconds; second += 1) {
    const there = [...lives.keys()].filter((index) => isWithin(second, lives[index]));
    for (let event = 0; event < (all.events[second] ?? 0); event += 1) {
      const one = counted[there[Math.floor(random() * there.length)] ?? 0];
      if (one === undefined) continue;
      one.events[second] = (one.events[second] ?? 0) + 1;
      if (event < (all.good[second] ?? 0)) one.good[second] = (one.good[second] ?? 0) + 1;
    }
  }
  const scrapes = lives.flatMap((life, index) => {
    const own = counted[index];
    if (own === undefined) return [];
    const truth = truthOf(own);
    return scrapeTimes(random, { from: life.from, until: Math.min(life.until, seconds) }, gap).map((at) => ({
      instance: life.instance,
      at,
      knows: Math.floor(at),
      said: { events: truth.events(at), good: truth.good(at) },
    }));
  });
  return { truth: truthOf(all), scrapes: scrapes.toSorted((one, other) => one.at - other.at) };
}

function isWithin(second: number, span: Span | undefined): boolean {
  return span !== undefined && second >= span.from && second < span.until;
}

/** What Prometheus has of it: of an objective that is judged from records, or of requests. */
function exported(scrapes: readonly Scrape[], epoch: number, slo?: string, truth?: Truth): PastSeries[] {
  const names = {
    events: slo === undefined ? metrics.apiRequests.name : metrics.sloEvents.name,
    good: slo === undefined ? metrics.apiGood.name : metrics.sloGood.name,
  };
  const instances = [...new Set(scrapes.map(({ instance }) => instance))];
  return (['events', 'good'] as const).flatMap((what) =>
    instances.map((instance) => ({
      name: names[what],
      labels: { job: 'evenkeel-api', instance, ...(slo === undefined ? {} : { slo }) },
      samples: scrapes
        .filter((scrape) => scrape.instance === instance)
        .map(({ at, knows, said }) => [epoch + at, truth === undefined ? said[what] : truth[what](knows)] as const),
    })),
  );
}
