import { type Backlog, MOST_WAITING, type Priority, type Verdict } from '../domain/overload-ports.ts';

export type Pressure = 0 | 1 | 2;

/** One look at the backlog. */
export interface Look {
  /** Monotonic, in milliseconds. */
  readonly at: number;
  /** Undefined where it cannot be told: PostgreSQL or Temporal is away. */
  readonly backlog: Backlog | undefined;
}

export interface AdmissionState {
  readonly pressure: Pressure;
  /** Of new orders, from 0 to 1, that are admitted below pressure 2: after it, they come back little by little. */
  readonly share: number;
  readonly backlogAgeMs: number;
  /** Until the backlog is worked off at the pace of late, in milliseconds. */
  readonly untilDoneMs: number;
  /** Orders that had their turn per second, while none came in. */
  readonly perSecond: number | undefined;
  readonly last: { readonly at: number; readonly backlog: Backlog } | undefined;
  /** How many looks in a row asked for more pressure, for less, or told nothing. */
  readonly rising: number;
  readonly falling: number;
  readonly unknown: number;
}

/** Level 1 at half of the age that new orders are refused at; each is left at half of what it is entered at. */
const RAISE_AFTER = 2;
const LOWER_AFTER = 3;
/** One look that tells nothing is no outage; as many in a row are, and intake outlives an outage of Temporal. */
const GIVE_UP_AFTER = 5;
const FIRST_SHARE = 0.1;
const SHARE_GROWTH = 1.5;
const SHORTEST_MS = 1_000;
/** With the jitter of a half it is a minute. */
const LONGEST_MS = 40_000;
/** Of the newest measurement of the pace. */
const WEIGHT = 0.3;

export const calm: AdmissionState = {
  pressure: 0,
  share: 1,
  backlogAgeMs: 0,
  untilDoneMs: 0,
  perSecond: undefined,
  last: undefined,
  rising: 0,
  falling: 0,
  unknown: 0,
};

/** What follows from one more look. */
export function afterLook(state: AdmissionState, { at, backlog }: Look, shedAgeMs: number): AdmissionState {
  if (backlog === undefined) {
    const unknown = state.unknown + 1;
    return unknown < GIVE_UP_AFTER ? { ...state, unknown, last: undefined } : { ...calm, unknown };
  }
  const { ageMs } = backlog;
  const perSecond = paceOf(state, at, backlog);
  const seen = { ...state, perSecond, last: { at, backlog }, backlogAgeMs: ageMs, unknown: 0 };
  const wanted = pressureOf(ageMs, shedAgeMs);
  const moved = moveTo(seen, { wanted, ageMs, shedAgeMs });
  return { ...moved, untilDoneMs: untilDone(backlog, perSecond) };
}

/** Decides from what was last seen; `random` in [0, 1). */
export function verdictOf(state: AdmissionState, priority: Priority, random: () => number): Verdict {
  const { pressure, share } = state;
  if (priority === 'critical' || pressure === 0) return { allowed: true };
  if (priority === 'normal' && pressure === 1 && (share >= 1 || random() < share)) return { allowed: true };
  const until = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, state.untilDoneMs));
  // So that those who were refused do not come back in the same second.
  return { allowed: false, retryAfterMs: until * (1 + random() / 2) };
}

function pressureOf(ageMs: number, shedAgeMs: number): Pressure {
  if (ageMs >= shedAgeMs) return 2;
  return ageMs >= shedAgeMs / 2 ? 1 : 0;
}

function moveTo(
  state: AdmissionState,
  { wanted, ageMs, shedAgeMs }: { readonly wanted: Pressure; readonly ageMs: number; readonly shedAgeMs: number },
): AdmissionState {
  const { pressure, share } = state;
  if (wanted > pressure) {
    const rising = state.rising + 1;
    // While new orders come back little by little, the first look that shows too many is enough.
    if (rising < RAISE_AFTER && share >= 1) return { ...state, rising, falling: 0 };
    return { ...state, pressure: wanted, share: wanted === 2 ? FIRST_SHARE : share, rising: 0, falling: 0 };
  }
  const leaveAt = (pressure === 2 ? shedAgeMs : shedAgeMs / 2) / 2;
  if (pressure === 0 || ageMs >= leaveAt) return { ...state, rising: 0, falling: 0 };
  const falling = state.falling + 1;
  const grown = pressure === 1 ? Math.min(1, share * SHARE_GROWTH) : share;
  const stays = falling < LOWER_AFTER || (pressure === 1 && grown < 1);
  if (stays) return { ...state, share: grown, rising: 0, falling };
  return { ...state, pressure: pressure === 2 ? 1 : 0, share: grown, rising: 0, falling: 0 };
}

/** Only what leaves while new orders are refused is the pace of working off; before, as many may come as go. */
function paceOf({ pressure, perSecond, last }: AdmissionState, at: number, backlog: Backlog): number | undefined {
  if (last === undefined || pressure < 2 || at <= last.at || last.backlog.waiting >= MOST_WAITING) return perSecond;
  const done = Math.max(0, last.backlog.waiting - backlog.waiting);
  const measured = (done * 1_000) / (at - last.at);
  return perSecond === undefined ? measured : perSecond + (measured - perSecond) * WEIGHT;
}

/** Where no pace is known, what has lasted for a while is taken to last for as long again. */
function untilDone({ ageMs, waiting }: Backlog, perSecond: number | undefined): number {
  return perSecond !== undefined && perSecond > 0 ? (waiting * 1_000) / perSecond : ageMs;
}
