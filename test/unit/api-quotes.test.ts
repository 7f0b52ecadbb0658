import { expect, test } from 'vitest';
import { quoteRoutes } from '../../src/api/quotes.ts';
import { type RunContext, nobody } from '../../src/api/route.ts';
import { toProblem } from '../../src/api/problems.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { QuoteRequest } from '../../src/domain/provider-ports.ts';
import type { ShippingQuotes } from '../../src/domain/shipping-quotes.ts';

const body = { country: 'GB', currency: 'GBP', items: [{ sku: 'A', quantity: 2 }] };
const quote = {
  amountMinor: 500,
  currency: 'GBP',
  source: 'last_known',
  quotedAt: '2026-01-02T03:04:05.000Z',
} as const;

const context: RunContext = {
  identity: nobody,
  auditId: '',
  log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  signal: new AbortController().signal,
  note: () => undefined,
  audit: async () => undefined,
};

async function post(json: unknown, answer: ShippingQuotes['quote'] = async () => quote, circumstances = context) {
  const [route] = quoteRoutes({ shippingQuotes: { quote: answer } });
  const raw = {
    path: {},
    query: {},
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(json)),
  };
  return route?.run(raw, circumstances);
}

test('a quote says what it is and when it was given', async () => {
  const asked: QuoteRequest[] = [];
  const answer = await post(body, async (request) => {
    asked.push(request);
    return quote;
  });
  expect(answer).toEqual({ status: 200, json: quote });
  expect(asked).toEqual([body]);
});

test.each<[string, object, string]>([
  ['no country', { country: 'Britain' }, '/country'],
  ['an unknown currency', { currency: 'ABC' }, '/currency'],
  ['nothing to send', { items: [] }, '/items'],
  ['half a piece', { items: [{ sku: 'A', quantity: 0.5 }] }, '/items/0/quantity'],
  ['a name', { name: 'Ada' }, '/name'],
])('%s is refused at its place', async (_what, changes, pointer) => {
  await expect(post({ ...body, ...changes })).rejects.toMatchObject({ code: 'invalid_input', errors: [{ pointer }] });
});

test('where nothing is known, the caller is told when to ask again', async () => {
  const failure = new DomainFailure('provider_unavailable', 'not now', { retryAfterMs: 7_000 });
  const thrown: unknown = await post(body, () => Promise.reject(failure)).catch((error: unknown) => error);
  expect(toProblem(thrown)).toMatchObject({ status: 503, headers: { 'retry-after': '7' } });
});

test('the carrier is given up in time, whoever waits', async () => {
  const attempts: { readonly deadline?: number | undefined }[] = [];
  await post(body, async (_request, attempt) => {
    attempts.push(attempt);
    return quote;
  });
  expect((attempts[0]?.deadline ?? Infinity) - performance.now()).toBeLessThanOrEqual(2_000);
});

test('the carrier is asked while the server stops: it still answers what comes in', async () => {
  const attempts: { readonly signal: AbortSignal }[] = [];
  const stopping = { ...context, signal: AbortSignal.abort() };
  const asked = async (_request: QuoteRequest, attempt: { readonly signal: AbortSignal }) => {
    attempts.push(attempt);
    return quote;
  };
  await post(body, asked, stopping);
  expect(attempts).toMatchObject([{ signal: { aborted: false } }]);
});
