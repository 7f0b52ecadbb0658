import { expect, test } from 'vitest';
import { erasureRoutes } from '../../src/api/erasure.ts';
import { may } from '../../src/domain/access.ts';
import { type Erasures, reasonCode, withoutPerson } from '../../src/domain/erasure.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { identityOf, runContext } from './api-access-fakes.ts';

const erased = { id: '7f6f3c1e-58a5-4c6e-9a7e-0f4b8f6f2a11', customerId: 'erased-7f', orders: 2, at: 'now' };

async function ask(body: unknown, erase: Erasures['erase']) {
  const [route] = erasureRoutes({ erasures: { erase } });
  const headers = { 'content-type': 'application/json' };
  return route?.run({ path: {}, query: {}, headers, body: Buffer.from(JSON.stringify(body)) }, runContext());
}

test('a customer is forgotten by whoever was recorded to ask for it', async () => {
  const asked: unknown[] = [];
  const reply = await ask({ customerId: 'c-1', reason: 'ticket 81' }, (...args) => {
    asked.push(args);
    return Promise.resolve(erased);
  });
  expect(reply).toEqual({ status: 200, json: erased });
  expect(asked).toEqual([['c-1', { actor: 'key:admin', reason: 'ticket 81', auditId: 'aud-1' }]]);
});

test.each([{ customerId: 'c-1' }, { reason: 'x' }, { customerId: '', reason: 'x' }, { customerId: 'c', reason: ' ' }])(
  '%j is refused',
  async (body) => {
    await expect(ask(body, () => Promise.resolve(erased))).rejects.toMatchObject({ code: 'invalid_input' });
  },
);

test('orders that are not at their end are told of', async () => {
  const open = new DomainFailure('conflict', 'orders of this customer are not at their end');
  await expect(ask({ customerId: 'c', reason: 'x' }, () => Promise.reject(open))).rejects.toBe(open);
});

test('only an admin may, every use is in the audit log, and no path there tells whom it was about', () => {
  const [route] = erasureRoutes({ erasures: { erase: () => Promise.resolve(erased) } });
  expect(route).toMatchObject({ path: '/v1/erasures', audited: true, access: 'customers:erase' });
  const who = ['read-only', 'shop', 'customer-service', 'operator', 'admin', 'customer:ada'];
  expect(who.filter((token) => may(identityOf(token), 'customers:erase'))).toEqual(['admin']);
});

test.each(['insufficient_funds', 'already_dispatched: 7f6f3c1e-58a5-4c6e-9a7e-0f4b8f6f2a11-1', 'out_of_stock'])(
  '%s is a code and stays',
  (reason) => {
    expect(reasonCode.test(reason)).toBe(true);
    expect(withoutPerson({ reason, amountMinor: 5 }, 'nobody')).toEqual({ reason, amountMinor: 5 });
  },
);

test.each(['ada', 'Ordered twice', 'no street 12_st james', 'a_b: Ada', 'two_words\nAda', 5, { name: 'Ada' }])(
  '%j is no code and goes',
  (reason) => {
    expect(withoutPerson({ reason }, 'nobody')).toEqual({ reason: 'erased' });
  },
);

test('what says nothing still says nothing, and the customer is called by the other name', () => {
  const data = { customerId: 'c-1', reason: null, trackingNumber: 'TRK1', lines: 1 };
  const nobody = { customerId: 'nobody', reason: null, trackingNumber: 'erased', lines: 1 };
  expect(withoutPerson(data, 'nobody')).toEqual(nobody);
});
