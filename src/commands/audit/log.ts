import { auditRecord } from '../../api/audit.ts';
import type { AuditRecord } from '../../domain/access-ports.ts';
import { type Run, UsageError } from '../command.ts';
import { fitted, printable, table } from '../format.ts';
import { jsonPrinter, pagesOf } from '../listing.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, moment, parseWords, wholeNumber } from '../words.ts';

/** `evenkeel audit log`: what was done and refused, newest first. */
export const log: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    actor: { type: 'string' },
    action: { type: 'string' },
    outcome: { type: 'string' },
    subject: { type: 'string' },
    since: { type: 'string' },
    until: { type: 'string' },
    limit: { type: 'string' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const { url, json = false, limit = '20', since, until, outcome, ...wanted } = values;
  if (outcome !== undefined && outcome !== 'allowed' && outcome !== 'denied') {
    throw new UsageError(`--outcome takes allowed or denied, not '${outcome}'`);
  }
  const nowMs = Date.now();
  const query = {
    ...wanted,
    ...(outcome === undefined ? {} : { outcome }),
    ...(since === undefined ? {} : { since: moment('since', since, nowMs) }),
    ...(until === undefined ? {} : { until: moment('until', until, nowMs) }),
  };
  const asked = { path: '/v1/audit', query, of: auditRecord, limit: wholeNumber('limit', limit, 1, 1_000_000) };
  return withApi(apiUrl(url, io), io, async ({ client }) => {
    const printer = jsonPrinter(io.stdout);
    for await (const { data } of pagesOf(client, asked)) {
      if (json) printer.page(data, false);
      else if (data.length > 0) io.stdout.write(fitted(table(data.map(row)), io.stdout));
    }
    if (json) printer.end();
    return 0;
  });
};

function row({ at, actor, outcome, action, subject, reason }: Omit<AuditRecord, 'roles'>): readonly string[] {
  return [at, printable(actor), outcome, action, printable(subject), printable(reason ?? '')];
}
