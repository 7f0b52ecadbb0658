import { expect, test } from 'vitest';
import { breakerNames, breakerStates } from '../../src/domain/breakers.ts';
import { breakerMetrics } from '../../src/telemetry/breaker-metrics.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { countsOf, valuesOf } from '../support/metric-values.ts';

function observed() {
  const metrics = createMetrics(['process']);
  const lines: unknown[] = [];
  const line = (level: keyof Log) => (fields: object, message: string) => void lines.push([level, fields, message]);
  const log: Log = { info: line('info'), warn: line('warn'), error: line('error') };
  return { metrics, lines, observer: breakerMetrics(metrics, log) };
}

test('every breaker is shown from the beginning, closed and with nothing to count', async () => {
  const { metrics, lines } = observed();
  expect(await countsOf(metrics, 'breakerState')).toEqual(
    Object.fromEntries(breakerNames.map((name) => [`breaker=${name},state=closed`, 1])),
  );
  expect(Object.keys(await valuesOf(metrics, 'breakerState'))).toHaveLength(breakerNames.length * breakerStates.length);
  expect(Object.keys(await valuesOf(metrics, 'callsRefused'))).toHaveLength(breakerNames.length * 2);
  expect(Object.values(await valuesOf(metrics, 'callsInFlight'))).toEqual(breakerNames.map(() => 0));
  expect(lines).toEqual([]);
});

test('a breaker is in one state at a time, and one that opens is a warning', async () => {
  const { metrics, lines, observer } = observed();
  observer.transition('risk', { from: 'closed', to: 'open', cause: '5 of 10 calls failed' });
  observer.transition('risk', { from: 'open', to: 'half-open', cause: 'time to try again' });
  const shown = Object.entries(await countsOf(metrics, 'breakerState')).filter(([name]) => name.includes('=risk'));
  expect(shown).toEqual([['breaker=risk,state=half-open', 1]]);
  expect(await countsOf(metrics, 'breakerTransitions')).toEqual({
    'breaker=risk,state=open': 1,
    'breaker=risk,state=half-open': 1,
  });
  const change = 'breaker changed its state';
  expect(lines).toEqual([
    ['warn', { breaker: 'risk', from: 'closed', to: 'open', cause: '5 of 10 calls failed' }, change],
    ['info', { breaker: 'risk', from: 'open', to: 'half-open', cause: 'time to try again' }, change],
  ]);
});

test('what is refused is counted by whom, and what runs is shown', async () => {
  const { metrics, observer } = observed();
  observer.refused('carrier', 'bulkhead');
  observer.inFlight('carrier', 3);
  expect(await countsOf(metrics, 'callsRefused')).toEqual({ 'breaker=carrier,by=bulkhead': 1 });
  expect(await countsOf(metrics, 'callsInFlight')).toEqual({ 'breaker=carrier': 3 });
});
