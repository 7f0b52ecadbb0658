import { z } from 'zod';
import type { DeadLetterFilter } from '../../domain/consumer-ports.ts';
import type { ApiClient } from '../api-client.ts';
import { UsageError } from '../command.ts';
import { consumerId } from '../consumers/find.ts';
import { moment } from '../words.ts';

export const filterOptions = {
  consumer: { type: 'string' },
  cause: { type: 'string' },
  type: { type: 'string' },
  order: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
} as const;

type FilterWords = { readonly [name in keyof typeof filterOptions]?: string | undefined };

/** A filter whose consumer may still be a name. */
export interface WantedLetters {
  readonly consumer: string | undefined;
  readonly rest: DeadLetterFilter;
  readonly isEmpty: boolean;
}

/** What the words ask for. Throws `UsageError`. */
export function readFilter({ consumer, cause, type, order, since, until }: FilterWords): WantedLetters {
  if (order !== undefined && !z.guid().safeParse(order).success) {
    throw new UsageError(`--order takes an order's id, which looks like 0196f1f0-…, not '${order}'`);
  }
  const nowMs = Date.now();
  const rest = {
    ...(cause === undefined ? {} : { cause }),
    ...(type === undefined ? {} : { type }),
    ...(order === undefined ? {} : { orderId: order }),
    ...(since === undefined ? {} : { since: moment('since', since, nowMs) }),
    ...(until === undefined ? {} : { until: moment('until', until, nowMs) }),
  };
  return { consumer, rest, isEmpty: consumer === undefined && Object.keys(rest).length === 0 };
}

/** The filter as a redrive takes it. Throws `UsageError` where no consumer has the name. */
export async function filterOf(client: ApiClient, { consumer, rest }: WantedLetters): Promise<DeadLetterFilter> {
  return consumer === undefined ? rest : { consumerId: await consumerId(client, consumer), ...rest };
}

/** The same as the query of a list, which has other names for two of them. */
export async function queryOf(client: ApiClient, wanted: WantedLetters): Promise<Readonly<Record<string, string>>> {
  const { consumerId: consumer, orderId: subject, ...rest } = await filterOf(client, wanted);
  const query = { consumer, subject, ...rest };
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** Throws `UsageError` for what is no id of a dead letter. */
export function letterId(word: string): string {
  if (/^[1-9]\d{0,17}$/.test(word)) return word;
  throw new UsageError(`'${word}' is no dead letter's id, which is a number; 'evenkeel dead-letters' lists them`);
}
