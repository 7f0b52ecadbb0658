import { runbookOf } from '../../slo/alert-catalog.ts';
import { inAlertNames } from '../../slo/burn-alerts.ts';
import { measured, percent } from '../../slo/words.ts';
import { type Run, UsageError } from '../command.ts';
import { age, fitted, printable, table } from '../format.ts';
import { duration } from '../submit/progress.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, parseWords } from '../words.ts';
import { allSlos, type ConsumerSli, consumersOf, type Slo, staleSince } from './api.ts';

const BAR = 10;
const NOTHING = '-';
const CONSUMERS_SHOWN = 3;

/** `evenkeel slo [status]` */
export const status: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { url: { type: 'string' }, json: { type: 'boolean' } });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const slos = await allSlos(client);
    if (values.json === true) {
      io.stdout.write(`${JSON.stringify(slos, null, 2)}\n`);
      return 0;
    }
    const isBlamed = slos.some((slo) => slo.name === 'delivery-end-to-end' && (slo.budget?.badEvents ?? 0) > 0);
    const consumers = isBlamed ? await consumersOf(client) : [];
    io.stdout.write(`${fitted(sloTable(slos), io.stdout)}\n${sloWords(slos, consumers, Date.now())}`);
    return 0;
  });
};

function sloTable(slos: readonly Slo[]): string {
  const head = ['OBJECTIVE', 'SLI', 'TARGET', 'BUDGET LEFT', '', 'BURN 1H', '6H', '3D', 'SPENT IN'];
  return table([head, ...slos.map(row)], [1, 2, 4, 5, 6, 7]);
}

function row(slo: Slo): readonly string[] {
  const { name, sli, target, budget } = slo;
  return [
    name,
    sli === null ? NOTHING : measured(sli),
    percent(target),
    budget === null ? '' : bar(budget.leftShare),
    budget === null ? NOTHING : leftText(budget.leftShare),
    burnText(slo, '1h'),
    burnText(slo, '6h'),
    burnText(slo, '3d'),
    spentIn(slo),
  ];
}

function bar(leftShare: number): string {
  const full = Math.min(BAR, Math.max(0, Math.ceil(leftShare * BAR)));
  return '#'.repeat(full).padEnd(BAR, '.');
}

/** Cut and not rounded: what is short of whole is not 100 %, and what is overspent is not 0 %. */
export function leftText(leftShare: number): string {
  const digits = Math.abs(leftShare) < 0.1 ? 10 : 1;
  return `${Math.floor(Number((leftShare * 100 * digits).toFixed(6))) / digits} %`;
}

function burnText({ windows }: Slo, wanted: Slo['windows'][number]['window']): string {
  const rate = windows.find(({ window }) => window === wanted)?.burnRate ?? null;
  if (rate === null) return NOTHING;
  if (rate === 0) return '0';
  if (rate < 0.1) return '<0.1';
  return rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
}

function spentIn({ exhaustion: { state, hours } }: Slo): string {
  if (state === 'not_enough_data') return 'no events';
  if (state === 'exhausted') return 'it is spent';
  return hours === null ? 'not so soon' : duration(hours * 3_600_000);
}

/** What the table means, a line for each objective that somebody should look at, the worst first. */
function sloWords(slos: readonly Slo[], consumers: readonly ConsumerSli[], nowMs: number): string {
  const stale = staleSince(slos, nowMs);
  const troubled = slos
    .filter(({ alarm, exhaustion: { state } }) => alarm !== 'none' || state === 'exhausted' || state === 'burning')
    .toSorted((one, other) => urgency(other) - urgency(one));
  const unknown = slos.filter(({ sli }) => sli === null).map(({ name }) => name);
  const lines = [
    ...(stale === undefined
      ? []
      : [`Nothing is judged since ${stale}, ${age(stale, nowMs)} ago: what came later is in none of these numbers.`]),
    ...troubled.flatMap((slo) => [meaning(slo), ...(slo.name === 'delivery-end-to-end' ? blame(consumers) : [])]),
    ...(unknown.length === 0 ? [] : [`Not enough data: ${unknown.join(', ')} had no events.`]),
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

function meaning(slo: Slo): string {
  const { name, windowDays, budget, alarm, exhaustion } = slo;
  if (budget === null) return `${name}: not enough data.`;
  const { badEvents, allowedEvents } = budget;
  const events = slo.windows.at(-1)?.good ?? 0;
  const counted = `${number(badEvents)} of ${number(events + badEvents)} events were bad in ${windowDays} days, and ${number(allowedEvents)} may be`;
  const spent =
    exhaustion.state === 'exhausted'
      ? 'the budget is spent'
      : exhaustion.hours === null
        ? 'the budget lasts'
        : `at the rate of the last ${inWords(exhaustion.window)} the budget is spent in ${duration(exhaustion.hours * 3_600_000)}`;
  const runbook = runbookOf(`${inAlertNames(name)}BudgetBurn`);
  const told = { none: '', ticket: ` There is a ticket: ${runbook}`, page: ` Somebody is paged: ${runbook}` }[alarm];
  return `${name}: ${counted}; ${spent}.${told}`;
}

/** The consumers that most of the bad deliveries are of. */
function blame(consumers: readonly ConsumerSli[]): readonly string[] {
  return consumers
    .filter(({ bad }) => bad > 0)
    .slice(0, CONSUMERS_SHOWN)
    .map(({ name, good, bad }) => `  ${printable(name)}: ${number(bad)} of ${number(good + bad)} late or never`);
}

function inWords(window: string | null): string {
  const [, count = '', unit = ''] = /^(\d+)([mhd])$/.exec(window ?? '') ?? [];
  const word = { m: 'minute', h: 'hour', d: 'day' }[unit] ?? '';
  return count === '1' ? word : `${count} ${word}s`;
}

/** Whole events as such; the allowed ones, which need not be whole, cut to one decimal where they are few. */
export function number(events: number): string {
  const cut = events < 100 ? Math.floor(events * 10) / 10 : Math.floor(events);
  return cut.toLocaleString('en-GB');
}
