import type { MovedFact } from './facts.ts';
import type { Shipment } from './shipments.ts';

/** Milliseconds from booking to dispatch, and from dispatch to delivery; -1: only by hand. */
export interface CarrierDelays {
  readonly dispatchAfterMs: number;
  readonly deliverAfterMs: number;
}

/** Moves shipments when their time has come. Times count from the record, so a restart changes none of them. */
export class CarrierClock {
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #move: (shipmentId: string, kind: MovedFact['kind']) => void;
  #delays: CarrierDelays;

  constructor(delays: CarrierDelays, move: (shipmentId: string, kind: MovedFact['kind']) => void) {
    this.#delays = delays;
    this.#move = move;
  }

  get delays(): CarrierDelays {
    return this.#delays;
  }

  /** The new delays hold for all shipments, also for those that wait already. */
  change(delays: CarrierDelays, moving: readonly Shipment[]): void {
    this.#delays = delays;
    for (const shipment of moving) this.plan(shipment);
  }

  /** Plans the shipment's next move by what it is now. */
  plan({ shipmentId, status, at, dispatchedAt }: Shipment): void {
    clearTimeout(this.#timers.get(shipmentId));
    this.#timers.delete(shipmentId);
    if (status !== 'booked' && status !== 'dispatched') return;
    const kind = status === 'booked' ? 'dispatched' : 'delivered';
    const afterMs = status === 'booked' ? this.#delays.dispatchAfterMs : this.#delays.deliverAfterMs;
    if (afterMs < 0) return;
    const dueMs = Date.parse(dispatchedAt ?? at) + afterMs;
    const timer = setTimeout(
      () => {
        this.#timers.delete(shipmentId);
        this.#move(shipmentId, kind);
      },
      Math.max(0, dueMs - Date.now()),
    );
    this.#timers.set(shipmentId, timer);
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
