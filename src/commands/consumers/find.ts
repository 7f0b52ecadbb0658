import { z } from 'zod';
import { consumer, consumerDetails } from '../../api/consumer-schemas.ts';
import type { ApiClient } from '../api-client.ts';
import { UsageError } from '../command.ts';
import { pagesOf } from '../listing.ts';

export type Consumer = z.output<typeof consumer>;
export type ConsumerDetails = z.output<typeof consumerDetails>;

/** All consumers, oldest first. */
export async function allConsumers(client: ApiClient): Promise<readonly Consumer[]> {
  const all: Consumer[] = [];
  for await (const { data } of pagesOf(client, { path: '/v1/consumers', of: consumer })) all.push(...data);
  return all;
}

/** The id that `word` stands for: one already, or the name of just one consumer. Throws `UsageError` otherwise. */
export async function consumerId(client: ApiClient, word: string): Promise<string> {
  if (z.guid().safeParse(word).success) return word.toLowerCase();
  const [first, ...others] = (await allConsumers(client)).filter(({ name }) => name === word);
  if (first === undefined) throw new UsageError(`there is no consumer '${word}'; 'evenkeel consumers' lists them`);
  if (others.length === 0) return first.id;
  const ids = [first, ...others].map(({ id }) => id).join(', ');
  throw new UsageError(`'${word}' is the name of several consumers, so say which by its id: ${ids}`);
}

/** Throws `ApiRefusal` (`not_found`) where there is none. */
export async function consumerDetailsOf(client: ApiClient, id: string): Promise<ConsumerDetails> {
  return consumerDetails.parse((await client.get(`/v1/consumers/${id}`)).body);
}
