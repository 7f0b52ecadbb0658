import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { httpCarrier } from '../../src/adapters/http/carrier.ts';
import { attempt, newKey, newShipment } from '../support/provider-conformance.ts';
import { startSandbox } from '../support/sandbox.ts';

interface Callback {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: Readonly<Record<string, string>>;
}

/** Takes callbacks and answers them with `status()`. */
async function receiver(status: () => number = () => 204) {
  const callbacks: Callback[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      callbacks.push({ headers: request.headers, text, body: JSON.parse(text) as Record<string, string> });
      response.writeHead(status()).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callbacks`, callbacks };
}

async function sandboxFor(options: Parameters<typeof startSandbox>[0]) {
  const sandbox = await startSandbox(options);
  onTestFinished(async () => sandbox.stop());
  return sandbox;
}

async function book(url: string) {
  const [key, request] = [newKey('book:f1'), newShipment()];
  const booked = await httpCarrier(url).book(key, request, attempt());
  if (booked.outcome !== 'booked') throw new Error('not booked');
  return { key, request, shipmentId: booked.shipmentId };
}

const soon = { timeout: 10_000 };

describe("the carrier's callbacks", () => {
  test('tell of dispatch and delivery, each in its time', async () => {
    const { url: callbackUrl, callbacks } = await receiver();
    const { url } = await sandboxFor({ callbackUrl, dispatchAfterMs: 60, deliverAfterMs: 60 });
    const { key, request, shipmentId } = await book(url);
    await expect.poll(() => callbacks, soon).toHaveLength(2);
    // One message does not wait for another: the later one may come first.
    const ofKind = (kind: string) => callbacks.map(({ body }) => body).find((body) => body['kind'] === kind);
    const [dispatched, delivered] = [ofKind('dispatched'), ofKind('delivered')];
    const { orderId, fulfillmentId } = request;
    expect(dispatched).toMatchObject({ shipmentId, shipmentKey: key, orderId, fulfillmentId });
    expect(delivered).toMatchObject({ shipmentId, orderId, fulfillmentId });
    expect(delivered?.['messageId']).not.toBe(dispatched?.['messageId']);
    const between = Date.parse(delivered?.['at'] ?? '') - Date.parse(dispatched?.['at'] ?? '');
    expect(between).toBeGreaterThanOrEqual(59);
  });

  test('are signed by the Standard Webhooks scheme', async () => {
    const { url: callbackUrl, callbacks } = await receiver();
    const sandbox = await sandboxFor({ callbackUrl, callbackSecret: 'plain text, ünïcode' });
    const { shipmentId } = await book(sandbox.url);
    await sandbox.dispatch(shipmentId);
    await expect.poll(() => callbacks, soon).toHaveLength(1);
    const [{ headers, text, body } = { headers: {}, text: '', body: {} }] = callbacks;
    expect(headers['webhook-id']).toBe(body['messageId']);
    expect(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(60);
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${text}`;
    const mac = createHmac('sha256', Buffer.from('plain text, ünïcode', 'utf8')).update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${mac}`);
    expect(headers['content-type']).toBe('application/json');
  });

  test('are sent again, word for word, until they are accepted, and then no more', async () => {
    const answers = [500, 302, 409];
    const { url: callbackUrl, callbacks } = await receiver(() => answers.shift() ?? 200);
    const sandbox = await sandboxFor({ callbackUrl });
    const [first, second] = [await book(sandbox.url), await book(sandbox.url)];
    await sandbox.dispatch(first.shipmentId);
    await expect.poll(() => callbacks, soon).toHaveLength(4);
    expect(new Set(callbacks.map(({ text }) => text)).size).toBe(1);
    await sandbox.dispatch(second.shipmentId);
    await expect.poll(() => callbacks.at(-1)?.body['shipmentId'], soon).toBe(second.shipmentId);
    expect(callbacks).toHaveLength(5);
  });

  test('survive a restart, and so do the times they are due', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'evenkeel-sandbox-'));
    onTestFinished(async () => rm(dataDir, { recursive: true }));
    const before = await startSandbox({ dataDir });
    const [dispatched, booked, cancelled] = [await book(before.url), await book(before.url), await book(before.url)];
    await before.dispatch(dispatched.shipmentId);
    await httpCarrier(before.url).cancel(newKey('cancel'), { shipmentId: cancelled.shipmentId }, attempt());
    await before.stop();

    const { url: callbackUrl, callbacks } = await receiver();
    const after = await sandboxFor({ dataDir, callbackUrl, dispatchAfterMs: 0 });
    await expect
      .poll(() => new Set(callbacks.map(({ body }) => body['shipmentId'])), soon)
      .toEqual(new Set([dispatched.shipmentId, booked.shipmentId]));
    // Heard of by who was told is not yet written down by who told it.
    const accepted = async () => (await readFile(join(dataDir, 'ledger.ndjson'), 'utf8')).match(/"acknowledged"/g);
    await expect.poll(accepted, soon).toHaveLength(new Set(callbacks.map(({ body }) => body['messageId'])).size);
    await after.stop();

    // What was accepted is not sent a third time.
    const again = await receiver();
    const third = await sandboxFor({ dataDir, callbackUrl: again.url });
    const fresh = await book(third.url);
    await third.dispatch(fresh.shipmentId);
    await expect.poll(() => again.callbacks, soon).not.toHaveLength(0);
    expect(again.callbacks.map(({ body }) => body['shipmentId'])).toEqual([fresh.shipmentId]);
  });

  test('wait until they know where to go', async () => {
    const sandbox = await sandboxFor({});
    const { shipmentId } = await book(sandbox.url);
    await sandbox.dispatch(shipmentId);
    const { url: callbackUrl, callbacks } = await receiver();
    await sandbox.configure({ callbackUrl });
    await expect.poll(() => callbacks, soon).toHaveLength(1);
  });
});

describe('the carrier', () => {
  test('moves waiting shipments by new settings, but only by hand where they are -1', async () => {
    const { url: callbackUrl, callbacks } = await receiver();
    const sandbox = await sandboxFor({ callbackUrl });
    const { shipmentId } = await book(sandbox.url);
    expect(callbacks).toEqual([]);
    await sandbox.configure({ dispatchAfterMs: 0 });
    await expect.poll(() => callbacks.map(({ body }) => body['kind']), soon).toEqual(['dispatched']);
    await sandbox.deliver(shipmentId);
    await expect.poll(() => callbacks.map(({ body }) => body['kind']), soon).toEqual(['dispatched', 'delivered']);
  });

  test('moves a shipment once, in its order', async () => {
    const { url: callbackUrl, callbacks } = await receiver();
    const sandbox = await sandboxFor({ callbackUrl });
    const { shipmentId } = await book(sandbox.url);
    await expect(sandbox.deliver(shipmentId)).rejects.toThrow('is booked: it cannot be delivered');
    for (const move of [sandbox.dispatch, sandbox.dispatch, sandbox.deliver, sandbox.deliver, sandbox.dispatch]) {
      await move(shipmentId);
    }
    await expect.poll(() => callbacks, soon).toHaveLength(2);
    await expect(sandbox.dispatch('ship_none')).rejects.toThrow("there is no shipment 'ship_none'");
  });

  test('enters bookings and cancellations in the ledger, once each', async () => {
    const sandbox = await sandboxFor({});
    const carrier = httpCarrier(sandbox.url);
    const { key, request, shipmentId } = await book(sandbox.url);
    await carrier.book(key, request, attempt());
    const cancelKey = randomUUID();
    for (const each of [cancelKey, cancelKey, randomUUID()]) await carrier.cancel(each, { shipmentId }, attempt());
    const { orderId, fulfillmentId } = request;
    expect(await sandbox.ledger({ orderId })).toMatchObject([
      { kind: 'shipment', key, orderId, fulfillmentId, shipmentId },
      { kind: 'cancellation', key: cancelKey, orderId, fulfillmentId, shipmentId },
    ]);
    expect(JSON.stringify(await sandbox.ledger())).not.toContain(request.address.name);
  });
});
