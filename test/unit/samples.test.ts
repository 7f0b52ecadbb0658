import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { sampleCatalog, sampleOrders, submitSamples } from '../../src/samples.ts';
import { type FakeApi, startFakeApi } from './submit-api.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
});
afterEach(() => api.close());
const io = () => ({ signal: new AbortController().signal });

describe('the samples', () => {
  test('are submitted once, however often somebody tries, and with trouble on the way', async () => {
    api.trouble = ({ before, path }) => (before === 0 && path === '/v1/orders' ? 'lose' : undefined);
    expect(await submitSamples(api.url, io())).toBeLessThanOrEqual(sampleOrders.length);
    expect(api.orders.size).toBe(sampleOrders.length);
    expect(await submitSamples(api.url, io())).toBe(0);
    expect(api.orders.size).toBe(sampleOrders.length);
    expect([...api.orders.keys()]).toEqual(sampleOrders.map(({ name }) => `sample:${name}`));
  });

  test('leave alone what somebody made of the catalogue and the stock', async () => {
    api.items.set('MUG-HEART', { description: 'Mine', priceMinor: 1, currency: 'GBP' });
    api.stock.set('MUG-HEART', { onHand: 7, reserved: 7 });
    expect(await submitSamples(api.url, io())).toBe(sampleOrders.length);
    expect(api.items.get('MUG-HEART')?.description).toBe('Mine');
    expect(api.stock.get('MUG-HEART')?.onHand).toBe(7);
    expect(api.items.size).toBe(sampleCatalog.length);
  });

  test('hold what their fates need: too few of one article, and one order above the review limit alone', () => {
    const items = new Map(sampleCatalog.map((item) => [item.sku, item]));
    const totals = new Map(
      sampleOrders.map(({ name, order }) => [
        name,
        order.items.reduce((sum, { sku, quantity }) => sum + quantity * (items.get(sku)?.priceMinor ?? Number.NaN), 0),
      ]),
    );
    const limit = readConfig({}).EVENKEEL_REVIEW_ABOVE_MINOR;
    expect([...totals].filter(([, total]) => !(total <= limit)).map(([name]) => name)).toEqual(['high-value']);

    const short = sampleOrders.filter(({ order }) =>
      order.items.some(({ sku, quantity }) => quantity > (items.get(sku)?.onHand ?? 0)),
    );
    expect(short.map(({ name }) => name)).toEqual(['out-of-stock']);
  });

  test('are synthetic, so that those which are made to be slow spend nobody a budget', () => {
    for (const { order } of sampleOrders) expect(order.customerId).toMatch(/^synthetic-./);
  });

  test('end where the start is told to stop', async () => {
    await expect(submitSamples(api.url, { signal: AbortSignal.abort() })).rejects.toThrow('stopped');
    expect(api.log).toEqual([]);
  });
});
