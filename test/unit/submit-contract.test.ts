import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { run as order } from '../../src/commands/order.ts';
import { run as orders } from '../../src/commands/orders.ts';
import { run as submit } from '../../src/commands/submit.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { sampleCatalog, sampleOrders, submitSamples } from '../../src/samples.ts';
import { fakes, orderId, serve } from './api-fakes.ts';
import { runCommand } from './submit-api.ts';

/** The API itself, over ports that keep nothing: what it refuses, it refuses here too. */
async function realApi() {
  const deps = fakes();
  const asked = (name: string) => deps.calls.filter(([called]) => called === name);
  const { url } = await serve(deps);
  return { deps, asked, url };
}

const byAdmin = { env: { EVENKEEL_API_KEY: 'admin' } };

test('the API takes every sample as it is', async () => {
  const { asked, url } = await realApi();
  expect(await submitSamples(url, { signal: new AbortController().signal }, { text: 'admin', from: 'the test' })).toBe(
    sampleOrders.length,
  );
  expect(asked('intake.accept').map(([, body]) => body)).toEqual(sampleOrders.map((sample) => sample.order));
  expect(asked('catalog.putStock')).toHaveLength(sampleCatalog.length);
});

test('the API takes what is made of a CSV file, descriptions that it would refuse included', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-contract-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'orders.csv');
  await writeFile(
    file,
    [
      'InvoiceNo,StockCode,Description,Quantity,UnitPrice,CustomerID,Country',
      `1,A/B C,"${'long\n'.repeat(200)}",1,1.00,,Channel Islands`,
      '1,gift_0001,,1000000,0.01,,Channel Islands',
      `${'9'.repeat(90)},M,Manual,1,1.00,,USA`,
      '3,MÜG,Mug,1,1.00,17850,France',
    ].join('\n'),
  );
  const { deps, asked, url } = await realApi();
  deps.catalog.findStock = () => Promise.resolve(undefined);
  const report = join(folder, 'report.csv');
  const { code, stdout } = await runCommand(submit, [file, '--catalog', '--url', url, '--report', report], byAdmin);
  expect(stdout).toContain('orders accepted: 2 new');
  expect(stdout).toContain('the catalogue does not take this StockCode');
  expect(code).toBe(0);
  expect(
    asked('catalog.put')
      .map(([, item]) => (item as { sku: string }).sku)
      .toSorted(),
  ).toEqual(['A/B C', 'M', 'gift_0001']);
});

test('orders and order read what the API answers', async () => {
  const { deps, asked, url } = await realApi();
  const list = await runCommand(
    orders,
    ['--attention', '--status', 'confirmed', '--limit', '1', '--url', url],
    byAdmin,
  );
  expect(list.stdout).toContain(orderId);
  expect(asked('views.list')).toEqual([
    ['views.list', { attention: true, status: 'confirmed', limit: 1, cursor: undefined, customerId: undefined }],
  ]);
  expect((await runCommand(order, [orderId, '--url', url], byAdmin)).stdout).toContain(`Order      ${orderId}`);

  deps.views.list = () => Promise.reject(new DomainFailure('invalid_input', 'this cursor is none of ours'));
  await expect(runCommand(orders, ['--url', url], byAdmin)).rejects.toThrow('this cursor is none of ours');
});
