import { type Run, UsageError } from '../command.ts';
import { printable } from '../format.ts';
import { onlyWord, parseWords } from '../words.ts';
import { actorOf, withKeys } from './store.ts';

/** `evenkeel keys revoke ID`: a whole key does too, for whoever has found one. */
export const revoke: Run = async (args, io) => {
  const { positionals } = parseWords(args, {});
  const word = onlyWord(positionals, 'ID');
  const id = /^ek_([a-z0-9]{12})_/.exec(word)?.[1] ?? word;
  if (!/^[a-z0-9]{12}$/.test(id)) {
    // What looks like a key, but for a slip, is not shown.
    const shown = word.length > 20 ? 'this' : `'${printable(word)}'`;
    throw new UsageError(`${shown} is no key's id, which has 12 small letters and digits; 'evenkeel keys' lists them`);
  }
  const { name, revokedAt, revokedBy } = await withKeys(io, (keys) => keys.revoke(id, actorOf(io)));
  io.stdout.write(`key ${id} for ${printable(name)} was revoked at ${revokedAt} by ${printable(revokedBy ?? '')}\n`);
  return 0;
};
