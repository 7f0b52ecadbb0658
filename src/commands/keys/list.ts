import type { ApiKeyView } from '../../domain/access-ports.ts';
import { type Run, UsageError } from '../command.ts';
import { age, fitted, printable, table } from '../format.ts';
import { jsonPrinter } from '../listing.ts';
import { parseWords } from '../words.ts';
import { withKeys } from './store.ts';

/** `evenkeel keys [list]` */
export const list: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { json: { type: 'boolean' } });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const keys = await withKeys(io, (stored) => stored.list());
  if (values.json === true) {
    const printer = jsonPrinter(io.stdout);
    printer.page(keys, false);
    printer.end();
  } else if (keys.length === 0) io.stdout.write("no keys; 'evenkeel keys create' makes one\n");
  else {
    const nowMs = Date.now();
    const head = ['ID', 'NAME', 'MAY', 'STATE', 'UNTIL', 'LAST USED', 'MADE BY'];
    io.stdout.write(fitted(table([head, ...keys.map((key) => row(key, nowMs))]), io.stdout));
  }
  return 0;
};

function row(key: ApiKeyView, nowMs: number): readonly string[] {
  return [
    key.id,
    printable(key.name).slice(0, 32),
    key.customerId === null ? key.roles.join(', ') : `customer ${printable(key.customerId)}`,
    stateOf(key, nowMs),
    key.expiresAt.slice(0, 10),
    key.lastUsedAt === null ? 'never' : `${age(key.lastUsedAt, nowMs)} ago`,
    printable(key.createdBy),
  ];
}

function stateOf({ revokedAt, expiresAt }: ApiKeyView, nowMs: number): string {
  if (revokedAt !== null) return 'revoked';
  return Date.parse(expiresAt) <= nowMs ? 'expired' : 'valid';
}
