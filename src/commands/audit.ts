import { compareEvents } from './audit/events.ts';
import { compareLedgers } from './audit/ledgers.ts';
import { log } from './audit/log.ts';
import { type Run, UsageError } from './command.ts';
import { withDatabase } from './database.ts';
import { onlyWord, parseWords } from './words.ts';

const HELP = `usage: evenkeel audit events [--receipts URL|FILE --consumer ID] [--json]
       evenkeel audit ledgers [--json]
       evenkeel audit log [--actor WHO] [--action NAME] [--outcome allowed|denied] [--subject PATH] [--since WHEN]
                          [--until WHEN] [--limit N] [--url URL] [--json]

Compares what PostgreSQL (DATABASE_URL) has with itself, and names what does not add up.

  events    of every order: its changes with its events, these with the deliveries that they were meant to have, and
            these with what came of them; each that is missing or one too many
  ledgers   money and stock of every order there ever was: charged twice, for more than its total or after its end,
            never started, reserved for nobody; and events of the last day without a delivery. The alert LedgerViolation
            looks for the same among recent orders
  log       what was done by privilege, and refused, newest first (20), as the API tells an admin; WHEN is a moment, or
            90m, 12h or 2d for so long ago

  --receipts URL|FILE   compare events with what a consumer has too: one JSON object a line with eventId, subject,
                        sequence and late, in the order of arrival, as examples/consumer lists it at /receipts. A URL
                        may be of a consumer at work; a FILE is taken to have all that was delivered
  --consumer ID         whose receipts these are
  --json                one JSON object a line: each finding, then the counts

Exit code: 0 nothing found, 1 something found, 2 bad usage.
`;

/** `evenkeel audit`. */
export const run: Run = async (args, io) => {
  if (args[0] === 'log' && !args.includes('--help') && !args.includes('-h')) return log(args.slice(1), io);
  const { values, positionals } = parseWords(args, {
    receipts: { type: 'string' },
    consumer: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  });
  if (values.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const { consumer, json, receipts } = values;
  const subject = onlyWord(positionals, 'what to audit: events, ledgers or log');
  if (subject !== 'events' && subject !== 'ledgers') {
    throw new UsageError(`'${subject}' cannot be audited; 'events' and 'ledgers' can`);
  }
  if (subject === 'ledgers' && (receipts !== undefined || consumer !== undefined)) {
    throw new UsageError('--receipts and --consumer are of events only');
  }
  return withDatabase(io, 'to audit', async (db) => {
    const found =
      subject === 'ledgers'
        ? await compareLedgers(db, { json }, io)
        : await compareEvents(db, { consumer, json, receipts }, io);
    return found === 0 ? 0 : 1;
  });
};
