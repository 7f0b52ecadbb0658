import { runbookOf } from '../../slo/alert-catalog.ts';
import { inAlertNames } from '../../slo/burn-alerts.ts';
import { counted, eventsForOne, isTooFew } from '../../slo/words.ts';
import { age, printable } from '../format.ts';
import { duration } from '../submit/progress.ts';
import { type ConsumerSli, type Slo, staleSince } from './api.ts';

const CONSUMERS_SHOWN = 3;

/** Whose deliveries are late, or why nobody could say. */
export type Blamed = { readonly consumers: readonly ConsumerSli[] } | { readonly unread: string };

/** What the table means, a line for each objective that somebody should look at, the worst first. */
export function sloWords(slos: readonly Slo[], blamed: Blamed, nowMs: number): string {
  const stale = staleSince(slos, nowMs);
  const troubled = slos
    .filter(({ alarm, exhaustion: { state } }) => alarm !== 'none' || state === 'exhausted' || state === 'burning')
    .toSorted((one, other) => urgency(other) - urgency(one));
  const unknown = slos.filter(({ sli }) => sli === null).map(withExcluded);
  const lines = [
    ...(stale === undefined
      ? []
      : [`Nothing is judged since ${stale}, ${age(stale, nowMs)} ago: what came later is in none of these numbers.`]),
    ...troubled.flatMap((slo) => [meaning(slo), ...(slo.name === 'delivery-end-to-end' ? blame(blamed) : [])]),
    ...(unknown.length === 0 ? [] : [`Not enough data: ${unknown.join(', ')} had no events that count.`]),
    ...(troubled.length === 0 && unknown.length < slos.length
      ? [`${unknown.length === 0 ? 'Every' : 'Every other'} budget lasts at the present rate.`]
      : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

const alarms = { none: 0, ticket: 1, page: 2 } as const satisfies Readonly<Record<Slo['alarm'], number>>;

function urgency({ alarm, exhaustion }: Slo): number {
  return alarms[alarm] * 2 + (exhaustion.state === 'exhausted' ? 1 : 0);
}

function withExcluded({ name, windows }: Slo): string {
  const excluded = windows.at(-1)?.excluded ?? 0;
  return excluded === 0 ? name : `${name} (${counted(excluded)} excluded)`;
}

function meaning(slo: Slo): string {
  const { name, windowDays, budget, alarm } = slo;
  if (budget === null) return `${name}: not enough data.`;
  const { badEvents } = budget;
  const events = badEvents + (slo.windows.at(-1)?.good ?? 0);
  const bad = `${counted(badEvents)} of ${counted(events)} events ${badEvents === 1 ? 'was' : 'were'} bad in ${windowDays} days`;
  const told = alarm === 'none' ? '' : ` Alarm: ${alarm}, ${runbookOf(`${inAlertNames(name)}BudgetBurn`)}`;
  return `${name}: ${bad}${spending(slo, budget)}.${told}`;
}

function spending({ exhaustion, target }: Slo, budget: NonNullable<Slo['budget']>): string {
  if (isTooFew(budget)) return `, too few events for a budget of one: that takes ${counted(eventsForOne(target))}`;
  const { allowedEvents } = budget;
  const may = allowedEvents < 1 ? ', and of so few none may be' : `, and ${counted(allowedEvents)} may be`;
  if (exhaustion.state === 'exhausted') return `${may}; the budget is spent`;
  if (exhaustion.hours === null) return `${may}; the budget lasts`;
  const time = duration(exhaustion.hours * 3_600_000);
  return `${may}; at the rate of the last ${inWords(exhaustion.window)} the budget is spent in ${time}`;
}

/** The consumers that most of the bad deliveries are of. */
function blame(blamed: Blamed): readonly string[] {
  if ('unread' in blamed) return [`  its consumers could not be read: ${printable(blamed.unread)}`];
  return blamed.consumers
    .filter(({ bad }) => bad > 0)
    .slice(0, CONSUMERS_SHOWN)
    .map(({ name, good, bad }) => `  ${printable(name)}: ${counted(bad)} of ${counted(good + bad)} late or never`);
}

function inWords(window: string | null): string {
  const [, count = '', unit = ''] = /^(\d+)([mhd])$/.exec(window ?? '') ?? [];
  const word = { m: 'minute', h: 'hour', d: 'day' }[unit] ?? '';
  return count === '1' ? word : `${count} ${word}s`;
}
