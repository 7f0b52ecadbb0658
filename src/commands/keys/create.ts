import { isRole, roles as allRoles } from '../../domain/access.ts';
import { type Run, UsageError } from '../command.ts';
import { printable } from '../format.ts';
import { parseWords, wholeNumber } from '../words.ts';
import { actorOf, withKeys } from './store.ts';

const USUAL_DAYS = '90';
const MOST_DAYS = 3_650;
const LONGEST = 100;

/** `evenkeel keys create`: the key is all that goes to stdout. */
export const create: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    name: { type: 'string' },
    role: { type: 'string', multiple: true },
    customer: { type: 'string' },
    days: { type: 'string' },
  });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const { role: roles = [], customer: customerId } = values;
  const name = text('name', values.name ?? '');
  if (customerId !== undefined) text('customer', customerId);
  else if (roles.length === 0) throw new UsageError(`--role is missing: ${allRoles.join(', ')}`);
  const known = roles.filter(isRole);
  const unknown = roles.find((role) => !isRole(role));
  if (unknown !== undefined) throw new UsageError(`--role takes one of ${allRoles.join(', ')}, not '${unknown}'`);
  const validDays = wholeNumber('days', values.days ?? USUAL_DAYS, 1, MOST_DAYS);
  const wanted = { name, roles: [...new Set(known)], customerId, validDays, actor: actorOf(io) };
  const { key, view } = await withKeys(io, (keys) => keys.create(wanted));
  const whose = customerId === undefined ? view.roles.join(', ') : `customer ${printable(customerId)} alone`;
  io.stderr.write(`key ${view.id} for ${printable(name)} (${whose}), until ${view.expiresAt}; it is shown this once\n`);
  io.stdout.write(`${key}\n`);
  return 0;
};

function text(option: string, value: string): string {
  if (value.trim() === '') throw new UsageError(`--${option} is missing`);
  if (value.length <= LONGEST && !/\p{Cc}/u.test(value)) return value;
  throw new UsageError(`--${option} takes up to ${LONGEST} characters without line breaks, not '${printable(value)}'`);
}
