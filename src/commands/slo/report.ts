import { counted, isTooFew, leftOf, measured, percent } from '../../slo/words.ts';
import { type Run, UsageError } from '../command.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, parseWords } from '../words.ts';
import { reportOf, type SloReport } from './api.ts';

type Month = SloReport['objectives'][number];

/** `evenkeel slo report` */
export const report: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    url: { type: 'string' },
    json: { type: 'boolean' },
    month: { type: 'string' },
  });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const month = values.month ?? monthBefore(new Date());
  if (!/^[1-9]\d{3}-(0[1-9]|1[0-2])$/.test(month)) {
    throw new UsageError(`--month takes a month such as 2026-10, not '${month}'`);
  }
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const found = await reportOf(client, month);
    io.stdout.write(values.json === true ? `${JSON.stringify(found, null, 2)}\n` : markdown(found));
    return 0;
  });
};

/** The last month that is over, in UTC. */
export function monthBefore(now: Date): string {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1)).toISOString().slice(0, 7);
}

function markdown(found: SloReport): string {
  const { month, reason, judgedUntil, objectives, agreement } = found;
  const until = judgedUntil === null ? 'nothing is judged yet' : `judged until ${judgedUntil}`;
  const why = reason === 'not_kept' ? 'some of it is no longer kept' : until;
  const promised = objectives.filter(({ sla }) => sla !== null);
  const sections = [
    `# How objectives were met in ${month}`,
    `${reason === null ? 'The whole month' : `Not complete: ${why}`}, in UTC. Every share is that of events, good ones among good and bad ones.`,
    '## Objectives',
    pipes(
      ['Objective', 'Good', 'Bad', 'Excluded', 'SLI', 'Target', 'Met', 'Budget left'],
      objectives.map(({ title, good, bad, excluded, sli, target, met, budget }) => [
        title,
        ...[good, bad, excluded].map(counted),
        sli === null ? 'not enough data' : measured(sli),
        percent(target),
        answer(met),
        budget === null ? '' : leftOf(budget),
      ]),
    ),
    ...(promised.length === 0 ? [] : [`## ${agreement.title}`, ...promises(promised, agreement.exclusions)]),
    '## Worst days',
    ...worstDays(objectives),
  ];
  return `${sections.join('\n\n')}\n`;
}

function promises(promised: readonly Month[], exclusions: readonly string[]): readonly string[] {
  const rows = promised.map(({ title, sli, sla }) => [
    title,
    sla === null ? '' : percent(sla.target),
    sli === null ? 'not enough data' : measured(sli),
    answer(sla?.met ?? null),
    sla === null || sla.creditPercent === 0 ? 'none' : `${sla.creditPercent} % of the fee`,
  ]);
  const left = exclusions.map((exclusion) => `- ${exclusion}`).join('\n');
  return [
    pipes(['Promise', 'At least', 'SLI', 'Kept', 'Credit'], rows),
    ...(exclusions.length === 0
      ? []
      : [`Before what the agreement excludes, and a person has to take off:\n\n${left}`]),
  ];
}

function worstDays(objectives: readonly Month[]): readonly string[] {
  const rows = objectives.flatMap(({ title, budget, worstDays: days }) =>
    days.map(({ day, good, bad, budgetShare }) => [
      title,
      day,
      counted(bad),
      counted(good + bad),
      budget !== null && isTooFew(budget) ? 'too few events' : `${counted(budgetShare * 100)} %`,
    ]),
  );
  if (rows.length === 0) return ['None: nothing was bad.'];
  return [pipes(['Objective', 'Day', 'Bad', 'Events', "Of the month's budget"], rows)];
}

function answer(met: boolean | null): string {
  if (met === null) return 'not enough data';
  return met ? 'yes' : '**no**';
}

function pipes(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
