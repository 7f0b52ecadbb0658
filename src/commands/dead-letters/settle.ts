import { readFile } from 'node:fs/promises';
import { letterReplaced } from '../../api/delivery-schemas.ts';
import { ApiRefusal } from '../api-client.ts';
import { type Run, UsageError } from '../command.ts';
import { auditOf, auditOptions, requireReason, type Session, withApi } from '../verbs.ts';
import { apiUrl, onlyWord, parseWords } from '../words.ts';
import { letterId } from './filter.ts';
import { findLetter } from './show.ts';

const common = { ...auditOptions, url: { type: 'string' } } as const;

/** `evenkeel dead-letters edit ID` */
export const edit: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { ...common, data: { type: 'string' } });
  const id = letterId(onlyWord(positionals, 'ID'));
  if (values.data === undefined) throw new UsageError('--data is missing: the file with the corrected data');
  requireReason(values.reason);
  const data = await dataIn(values.data);
  const by = auditOf(values, io);
  return withApi(apiUrl(values.url, io), io, async (session) => {
    const answer = await once(session, id, 'edit', by, () =>
      session.client.post(`/v1/dead-letters/${id}/edit`, { data, ...by }),
    );
    const stands = answer === undefined ? '' : ` as event ${letterReplaced.parse(answer.body).eventId}`;
    io.stdout.write(`dead letter ${id} is sent corrected${stands}\n`);
    return 0;
  });
};

/** `evenkeel dead-letters discard ID…`: one after the other, up to the first that cannot be. */
export const discard: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, common);
  if (positionals.length === 0) throw new UsageError('ID is missing');
  const ids = positionals.map(letterId);
  requireReason(values.reason);
  const by = auditOf(values, io);
  return withApi(apiUrl(values.url, io), io, async (session) => {
    for (const id of ids) {
      await once(session, id, 'discard', by, () => session.client.post(`/v1/dead-letters/${id}/discard`, by));
      io.stdout.write(`dead letter ${id} is given up\n`);
    }
    return 0;
  });
};

/**
 * Does something to a dead letter. Where the answer was lost, the repetition is refused as if somebody else had been
 * first, so the records say whether it was this one: undefined then, in place of the answer.
 */
export async function once<T>(
  { client, wasRepeated }: Session,
  id: string,
  action: 'retry' | 'edit' | 'discard',
  by: ReturnType<typeof auditOf>,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (!(wasRepeated() && error instanceof ApiRefusal && error.code === 'conflict')) throw error;
    const last = (await findLetter(client, id)).actions.at(-1);
    const isOurs = last?.action === action && (last.reason ?? undefined) === by.reason;
    if (!isOurs || (by.actor !== undefined && last.actor !== by.actor)) throw error;
    return undefined;
  }
}

async function dataIn(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`--data: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data;
  } catch (error) {
    throw new UsageError(`${file} is no JSON: ${String(error)}`, { cause: error });
  }
  throw new UsageError(`${file} must hold one JSON object, the data of the event`);
}
