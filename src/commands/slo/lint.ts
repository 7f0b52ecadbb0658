import { readConfig } from '../../config.ts';
import { inWords } from '../../slo/documents.ts';
import { loadObjectives } from '../../slo/files.ts';
import { trafficWarnings } from '../../slo/lint.ts';
import { ObjectivesError } from '../../slo/openslo.ts';
import { percent } from '../../slo/words.ts';
import { type Run, UsageError } from '../command.ts';
import { table } from '../format.ts';
import { parseWords, wholeNumber } from '../words.ts';

const EVENTS = 1_000;

/** `evenkeel slo lint` */
export const lint: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { 'slo-dir': { type: 'string' }, events: { type: 'string' } });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const events = values.events === undefined ? EVENTS : wholeNumber('events', values.events, 1, 1_000_000_000);
  try {
    const { objectives, sla } = await loadObjectives(values['slo-dir'] ?? readConfig(io.env).EVENKEEL_SLO_DIR);
    const promised = new Map(sla.commitments.map(({ slo, target }) => [slo, percent(target)]));
    const rows = objectives.map(({ name, goal, target, severity }) => [
      name,
      goal,
      percent(target),
      promised.get(name) ?? '',
      severity,
    ]);
    io.stdout.write(table([['OBJECTIVE', 'GOOD', 'TARGET', 'PROMISED', 'TELLS BY'], ...rows], [2, 3]));
    for (const warning of trafficWarnings(objectives, events)) io.stderr.write(`warning: ${warning}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof ObjectivesError)) throw error;
    for (const finding of error.findings) io.stdout.write(`${inWords(finding)}\n`);
    return 1;
  }
};
