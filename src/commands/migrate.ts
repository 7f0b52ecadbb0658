import { migrate } from '../adapters/postgres/migrate.ts';
import { ensureSearchAttributes } from '../adapters/temporal/search-attributes.ts';
import { ensureUpkeepSchedule } from '../adapters/temporal/upkeep-schedule.ts';
import { connectTemporal } from '../adapters/temporal/connection.ts';
import { UPKEEP_SCHEDULE_EVERY_MS } from '../app.ts';
import { readConfig, requirePeers } from '../config.ts';
import { type Run, wantsHelp } from './command.ts';

const HELP = `usage: evenkeel migrate

Brings PostgreSQL's schema, Temporal's search attributes and the upkeep's schedule up to date. Safe to repeat, and to
run beside others. A schema that a newer release has brought further stays as it is. Settings: evenkeel help config.
`;

/** `evenkeel migrate` */
export const run: Run = async (args, io) => {
  if (wantsHelp(args, io, HELP)) return 0;
  const config = requirePeers(readConfig(io.env));
  const newer = await migrate(config.DATABASE_URL);
  const temporal = await connectTemporal(config, 'client', {});
  try {
    await ensureSearchAttributes(temporal.client, temporal.namespace);
    await ensureUpkeepSchedule(temporal.client, UPKEEP_SCHEDULE_EVERY_MS);
  } finally {
    await temporal.close();
  }
  if (newer.length > 0) io.stdout.write(`the schema is of a newer release (${newer.join(', ')}), and stays\n`);
  io.stdout.write('schema, search attributes and schedule are up to date\n');
  return 0;
};
