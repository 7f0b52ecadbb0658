import { migrate } from '../adapters/postgres/migrate.ts';
import { grantApplication } from '../adapters/postgres/roles.ts';
import { ensureSearchAttributes } from '../adapters/temporal/search-attributes.ts';
import { ensureUpkeepSchedule } from '../adapters/temporal/upkeep-schedule.ts';
import { connectTemporal } from '../adapters/temporal/connection.ts';
import { UPKEEP_SCHEDULE_EVERY_MS } from '../app.ts';
import { readConfig, requirePeers } from '../config.ts';
import { type Run, wantsHelp } from './command.ts';

const HELP = `usage: evenkeel migrate

Brings PostgreSQL's schema, Temporal's search attributes and the upkeep's schedule up to date. Safe to repeat, and to
run beside others. A schema that a newer release has brought further stays as it is. Settings: evenkeel help config.

Runs as the owner of the schema, EVENKEEL_MIGRATION_DATABASE_URL or else DATABASE_URL, and grants the group evenkeel_app
what the application needs: a login in it can add to the audit log and read it, but not change it.
`;

/** `evenkeel migrate` */
export const run: Run = async (args, io) => {
  if (wantsHelp(args, io, HELP)) return 0;
  const settings = readConfig(io.env);
  const owner = settings.EVENKEEL_MIGRATION_DATABASE_URL ?? settings.DATABASE_URL;
  const config = requirePeers({ ...settings, DATABASE_URL: owner });
  const newer = await migrate(config.DATABASE_URL);
  const notGranted = await grantApplication(config.DATABASE_URL);
  const temporal = await connectTemporal(config, 'client', {});
  try {
    await ensureSearchAttributes(temporal.client, temporal.namespace);
    await ensureUpkeepSchedule(temporal.client, UPKEEP_SCHEDULE_EVERY_MS);
  } finally {
    await temporal.close();
  }
  if (newer.length > 0) io.stdout.write(`the schema is of a newer release (${newer.join(', ')}), and stays\n`);
  for (const note of notGranted) io.stdout.write(`${note}\n`);
  io.stdout.write('schema, search attributes and schedule are up to date\n');
  return 0;
};
