import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CarrierClock } from '../../src/sandbox/carrier-clock.ts';
import type { Shipment } from '../../src/sandbox/shipments.ts';

const start = Date.parse('2026-11-21T12:00:00Z');
beforeEach(() => vi.useFakeTimers({ now: start }));
afterEach(() => vi.useRealTimers());

const booked: Shipment = {
  kind: 'shipment',
  shipmentId: 's1',
  trackingNumber: 'PW1',
  fulfillmentId: 'f1',
  key: 'k1',
  orderId: 'o1',
  at: new Date(start).toISOString(),
  status: 'booked',
  dispatchedAt: null,
};
const dispatched: Shipment = { ...booked, status: 'dispatched', dispatchedAt: new Date(start + 500).toISOString() };

function clock(dispatchAfterMs: number, deliverAfterMs: number) {
  const moves: string[] = [];
  const made = new CarrierClock({ dispatchAfterMs, deliverAfterMs }, (id, kind) => moves.push(`${id} ${kind}`));
  return { made, moves };
}

describe("the carrier's clock", () => {
  test('dispatches after its delay, and not before', () => {
    const { made, moves } = clock(1_000, -1);
    made.plan(booked);
    vi.advanceTimersByTime(999);
    expect(moves).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(moves).toEqual(['s1 dispatched']);
  });

  test('counts the delivery from the dispatch', () => {
    const { made, moves } = clock(0, 1_000);
    made.plan(dispatched);
    vi.advanceTimersByTime(1_499);
    expect(moves).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(moves).toEqual(['s1 delivered']);
  });

  test('moves at once what fell due while nobody watched', () => {
    const { made, moves } = clock(1_000, -1);
    vi.setSystemTime(start + 3_600_000);
    made.plan(booked);
    vi.advanceTimersByTime(1);
    expect(moves).toEqual(['s1 dispatched']);
  });

  test('forgets a plan that new delays replace', () => {
    const { made, moves } = clock(1_000, -1);
    made.plan(booked);
    made.change({ dispatchAfterMs: 5_000, deliverAfterMs: -1 }, [booked]);
    vi.advanceTimersByTime(4_999);
    expect(moves).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(moves).toEqual(['s1 dispatched']);
  });

  test('leaves alone what waits for a hand, is cancelled, or is stopped', () => {
    const { made, moves } = clock(1_000, -1);
    made.plan(booked);
    made.plan({ ...booked, status: 'cancelled' });
    made.plan(dispatched);
    made.plan({ ...booked, shipmentId: 's2' });
    made.stop();
    vi.runAllTimers();
    expect(moves).toEqual([]);
  });
});
