import { fewestBad } from '../../slo/windows.ts';
import { leftOf, measured, percent } from '../../slo/words.ts';
import { type Run, UsageError } from '../command.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, parseWords } from '../words.ts';
import { allSlos, type Slo, staleSince } from './api.ts';

interface Terms {
  /** A smaller share of the budget than this is as good as none. */
  readonly minLeft: number;
  /** Whether a budget that is burning fast closes the gate while there is some left. */
  readonly burning: boolean;
  /** Whether what nobody knows closes it. */
  readonly strict: boolean;
}

interface Verdict {
  readonly passes: boolean;
  readonly words: string;
}

/** `evenkeel slo gate`: whether a deployment may go on. */
export const gate: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    url: { type: 'string' },
    'min-left': { type: 'string', default: '0%' },
    burning: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const terms = { minLeft: shareOf(values['min-left']), burning: values.burning, strict: values.strict };
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const slos = (await allSlos(client)).filter(({ severity }) => severity === 'page');
    const stale = staleSince(slos, Date.now());
    const verdicts = slos.map((slo) => ({ name: slo.name, ...verdictOf(slo, terms, stale) }));
    for (const { name, passes, words } of verdicts) io.stdout.write(`${passes ? 'pass' : 'FAIL'}  ${name}: ${words}\n`);
    // Of an API that answers with no objective at all, nobody knows anything either.
    if (verdicts.length === 0) io.stdout.write('no objective pages: nothing to judge by\n');
    return verdicts.every(({ passes }) => passes) && (verdicts.length > 0 || !terms.strict) ? 0 : 1;
  });
};

function verdictOf(slo: Slo, { minLeft, burning, strict }: Terms, stale: string | undefined): Verdict {
  const { sli, target, budget, alarm, judgedUntil } = slo;
  if (budget === null || sli === null) return { passes: !strict, words: 'not enough data: no events' };
  const { leftShare, badEvents } = budget;
  const left = leftShare > 0 ? `${leftOf(budget)} of the budget left` : 'the budget is spent';
  const words = `${measured(sli)} where ${percent(target)} is the target, ${left}`;
  // A single bad event among few is no more of a reason here than it is for an alert.
  const few = badEvents < fewestBad.ticket;
  if (leftShare <= 0 || leftShare < minLeft) {
    if (!few) return { passes: false, words };
    return { passes: !strict, words: `${words}; not enough data: that is one bad event` };
  }
  if (burning && alarm === 'page') return { passes: false, words: `${words}, and it burns too fast: alarm: page` };
  if (stale !== undefined && judgedUntil !== null) {
    return { passes: !strict, words: `${words}; not enough data: nothing is judged since ${stale}` };
  }
  return { passes: true, words };
}

/** `10%` or `0.1`. Throws `UsageError` for what is no share. */
function shareOf(text: string): number {
  const share = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (/^\d+(\.\d+)?%?$/.test(text) && share <= 1) return share;
  throw new UsageError(`--min-left takes a share of the budget such as 10%, not '${text}'`);
}
