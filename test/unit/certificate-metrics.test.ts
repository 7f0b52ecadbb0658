import { expect, test, vi } from 'vitest';
import { type CertificateEnd, certificateMetrics } from '../../src/telemetry/certificates.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { valuesOf } from '../support/metric-values.ts';

const HOUR_MS = 3_600_000;

test('the time that certificates last is shown, of connections that have one, and asked for once a minute', async () => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  const metrics = createMetrics(['process']);
  const temporal = vi.fn<CertificateEnd>(() => Promise.resolve(new Date(Date.parse('2026-01-01T00:00:00Z') + HOUR_MS)));
  const postgres = () => undefined;
  const rabbitmq = () => Promise.reject(new Error('away'));
  certificateMetrics(metrics, { temporal, postgres, rabbitmq }, () => nowMs);
  await metrics.collect();
  await vi.waitFor(async () => {
    await metrics.collect();
    expect(await valuesOf(metrics, 'certificateExpirySeconds')).toEqual({ 'connection=temporal': 3_600 });
  });
  expect(temporal).toHaveBeenCalledTimes(1);

  nowMs += HOUR_MS + 60_000;
  temporal.mockRejectedValue(new Error('away'));
  await metrics.collect();
  // What has expired is told by a time before now.
  expect(await valuesOf(metrics, 'certificateExpirySeconds')).toEqual({ 'connection=temporal': -60 });
  expect(temporal).toHaveBeenCalledTimes(2);
});
