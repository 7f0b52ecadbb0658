import type { Database } from '../../adapters/postgres/database.ts';
import { findViolations } from '../../adapters/postgres/ledger-violations.ts';
import { violationKinds } from '../../domain/fact-ports.ts';
import type { CommandIo } from '../command.ts';

/** Of each kind, so that one that is everywhere does not hide the others. */
const MOST = 1_000;

/** Prints what the ledgers say of each other, and resolves with how many violations there are. */
export async function compareLedgers(
  db: Database,
  { json }: { readonly json: boolean },
  { stdout }: CommandIo,
): Promise<number> {
  let found = 0;
  for (const kind of violationKinds) {
    const violations = await findViolations(db, kind, MOST);
    found += violations.length;
    for (const { subject, problem } of violations) {
      stdout.write(json ? `${JSON.stringify({ kind, subject, problem })}\n` : `${kind}: ${subject}: ${problem}\n`);
    }
    if (violations.length === MOST && !json) stdout.write(`${kind}: and perhaps more\n`);
  }
  if (json) stdout.write(`${JSON.stringify({ violations: found })}\n`);
  else stdout.write(found === 0 ? 'the ledgers agree\n' : `${found} violations\n`);
  return found;
}
