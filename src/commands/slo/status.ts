import { isTooFew, leftOf, measured, percent } from '../../slo/words.ts';
import { type ApiClient, Interrupted } from '../api-client.ts';
import { type Run, UsageError } from '../command.ts';
import { fitted, table } from '../format.ts';
import { duration } from '../submit/progress.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, parseWords } from '../words.ts';
import { allSlos, consumersOf, type Slo } from './api.ts';
import { type Blamed, sloWords } from './meaning.ts';

const BAR = 10;
const NOTHING = '-';

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
    io.stdout.write(`${fitted(sloTable(slos), io.stdout)}\n`);
    io.stdout.write(sloWords(slos, await blamedOf(client, slos), Date.now()));
    return 0;
  });
};

/** Asked for what is late alone. It is read from the deliveries themselves: it may fail where the rest is known. */
async function blamedOf(client: ApiClient, slos: readonly Slo[]): Promise<Blamed> {
  const isLate = slos.some(({ name, budget }) => name === 'delivery-end-to-end' && (budget?.badEvents ?? 0) > 0);
  try {
    return { consumers: isLate ? await consumersOf(client) : [] };
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return { unread: error instanceof Error ? error.message : String(error) };
  }
}

function sloTable(slos: readonly Slo[]): string {
  const head = ['OBJECTIVE', 'SLI', 'TARGET', 'BUDGET LEFT', '', 'BURN 1H', '6H', '3D', 'SPENT IN'];
  return table([head, ...slos.map(row)], [1, 2, 4, 5, 6, 7]);
}

function row(slo: Slo): readonly string[] {
  const { name, sli, target, budget } = slo;
  const isKnown = budget !== null && !isTooFew(budget);
  return [
    name,
    sli === null ? NOTHING : measured(sli),
    percent(target),
    isKnown ? bar(budget.leftShare) : '',
    isKnown ? leftOf(budget) : NOTHING,
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

function burnText({ windows }: Slo, wanted: Slo['windows'][number]['window']): string {
  const rate = windows.find(({ window }) => window === wanted)?.burnRate ?? null;
  if (rate === null) return NOTHING;
  if (rate === 0) return '0';
  if (rate < 0.1) return '<0.1';
  return rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
}

function spentIn({ budget, exhaustion: { state, hours } }: Slo): string {
  if (budget === null) return 'no events';
  if (isTooFew(budget)) return 'too few events';
  if (state === 'exhausted') return 'spent';
  return hours === null ? 'not so soon' : duration(hours * 3_600_000);
}
