import { roles } from '../domain/access.ts';
import { create } from './keys/create.ts';
import { list } from './keys/list.ts';
import { revoke } from './keys/revoke.ts';
import { withVerbs } from './verbs.ts';

const HELP = `usage: evenkeel keys create --name NAME --role ROLE... [--customer ID] [--days N]
       evenkeel keys [list] [--json]
       evenkeel keys revoke ID

API keys, straight in PostgreSQL (DATABASE_URL). What is done is in the audit log, by the user of this terminal.

  create   prints the key, once and alone, so that it can go into a file; what it is, on stderr
  list     every key there ever was, newest first, without what it opens with
  revoke   ends one, everywhere within ten seconds; ID is the part of the key behind ek_

  --name NAME     what it is for, or who has it
  --role ROLE     what it may do: ${roles.join(', ')}; several times for several
  --customer ID   for this customer's own orders only, whatever its roles
  --days N        it expires after so many days (90)
  --json          one JSON array
`;

/** `evenkeel keys` */
export const run = withVerbs(HELP, { create, list, revoke }, 'list');
