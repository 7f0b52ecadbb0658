import type {
  AuthorizeOutcome,
  BookOutcome,
  CancelShipmentOutcome,
  CaptureOutcome,
  Carrier,
  PaymentGateway,
  PaymentRequest,
  RefundOutcome,
  ShipmentRequest,
  VoidOutcome,
} from '../../src/domain/provider-ports.ts';

export interface Authorization {
  readonly id: string;
  readonly key: string;
  readonly token: string;
  readonly amountMinor: number;
  capturedMinor: number;
  voided: boolean;
}

export interface Capture {
  readonly id: string;
  readonly key: string;
  readonly authorizationId: string;
  readonly fulfillmentId: string;
  readonly amountMinor: number;
  refunded: boolean;
}

type PaymentOutcome = AuthorizeOutcome | CaptureOutcome | VoidOutcome | RefundOutcome;

/** A payment gateway in memory: idempotent by key, a capture never above its authorization, no refund twice. */
export class MemoryGateway implements PaymentGateway {
  readonly authorizations: Authorization[] = [];
  readonly captures: Capture[] = [];
  readonly #answers = new Map<string, PaymentOutcome>();
  readonly #note: (event: string) => void;

  /** `note` is told of each effect, in the order of happening. */
  constructor(note: (event: string) => void = () => undefined) {
    this.#note = note;
  }

  async authorize(key: string, request: PaymentRequest & { readonly token: string }): Promise<AuthorizeOutcome> {
    return this.#once(key, () => {
      const { amountMinor, token } = request;
      const id = `auth-${this.authorizations.length + 1}`;
      this.authorizations.push({ id, key, token, amountMinor, capturedMinor: 0, voided: false });
      this.#note('authorized');
      return { outcome: 'authorized', authorizationId: id };
    });
  }

  async capture(
    key: string,
    request: PaymentRequest & { readonly authorizationId: string; readonly fulfillmentId?: string },
  ): Promise<CaptureOutcome> {
    return this.#once(key, () => {
      const { authorizationId, amountMinor, fulfillmentId = '' } = request;
      const authorization = this.authorizations.find(({ id }) => id === authorizationId);
      if (authorization === undefined || authorization.voided) return { outcome: 'refused', reason: 'voided' };
      if (authorization.capturedMinor + amountMinor > authorization.amountMinor) {
        return { outcome: 'refused', reason: 'above_authorization' };
      }
      authorization.capturedMinor += amountMinor;
      const id = `capture-${this.captures.length + 1}`;
      this.captures.push({ id, key, authorizationId, fulfillmentId, amountMinor, refunded: false });
      this.#note(`captured ${ordinal(fulfillmentId)}`);
      return { outcome: 'captured', captureId: id };
    });
  }

  async void(key: string, request: PaymentRequest & { readonly authorizationId: string }): Promise<VoidOutcome> {
    return this.#once(key, () => {
      const authorization = this.authorizations.find(({ id }) => id === request.authorizationId);
      if (authorization === undefined || authorization.voided) return { outcome: 'refused', reason: 'nothing_left' };
      authorization.voided = true;
      this.#note('voided');
      return { outcome: 'voided' };
    });
  }

  async refund(key: string, request: PaymentRequest & { readonly captureId: string }): Promise<RefundOutcome> {
    return this.#once(key, () => {
      const capture = this.captures.find(({ id }) => id === request.captureId);
      if (capture === undefined || capture.refunded) return { outcome: 'refused', reason: 'nothing_left' };
      capture.refunded = true;
      this.#note(`refunded ${ordinal(capture.fulfillmentId)}`);
      return { outcome: 'refunded', refundId: `refund-of-${capture.id}` };
    });
  }

  async lookup(key: string): Promise<PaymentOutcome | undefined> {
    return this.#answers.get(key);
  }

  /** Makes the gateway answer `key` with a refusal from now on. */
  refuse(key: string, outcome: PaymentOutcome): void {
    if (!this.#answers.has(key)) this.#answers.set(key, outcome);
  }

  #once<O extends PaymentOutcome>(key: string, effect: () => O): O {
    const answer = (this.#answers.get(key) as O | undefined) ?? effect();
    this.#answers.set(key, answer);
    return answer;
  }
}

export interface Shipment {
  readonly id: string;
  readonly key: string;
  readonly fulfillmentId: string;
  readonly postalCode: string;
  status: 'booked' | 'cancelled' | 'taken';
}

/** A carrier in memory: idempotent by key; what it has taken cannot be cancelled any more. */
export class MemoryCarrier implements Carrier {
  readonly shipments: Shipment[] = [];
  readonly #answers = new Map<string, BookOutcome | CancelShipmentOutcome>();
  readonly #note: (event: string) => void;

  /** `note` is told of each effect, in the order of happening. */
  constructor(note: (event: string) => void = () => undefined) {
    this.#note = note;
  }

  async book(key: string, request: ShipmentRequest): Promise<BookOutcome> {
    return this.#once(key, () => {
      const id = `shipment-${this.shipments.length + 1}`;
      const { fulfillmentId, address } = request;
      this.shipments.push({ id, key, fulfillmentId, postalCode: address.postalCode, status: 'booked' });
      this.#note(`booked ${ordinal(fulfillmentId)}`);
      return { outcome: 'booked', shipmentId: id, trackingNumber: `T${id}` };
    });
  }

  async cancel(key: string, request: { readonly shipmentId: string }): Promise<CancelShipmentOutcome> {
    return this.#once(key, () => {
      const shipment = this.shipments.find(({ id }) => id === request.shipmentId);
      if (shipment === undefined) throw new Error(`there is no shipment ${request.shipmentId} to cancel`);
      if (shipment.status === 'taken') return { outcome: 'already_dispatched' };
      shipment.status = 'cancelled';
      this.#note(`shipment cancelled ${ordinal(shipment.fulfillmentId)}`);
      return { outcome: 'cancelled' };
    });
  }

  async lookup(key: string): Promise<BookOutcome | CancelShipmentOutcome | undefined> {
    return this.#answers.get(key);
  }

  refuse(key: string, outcome: BookOutcome): void {
    if (!this.#answers.has(key)) this.#answers.set(key, outcome);
  }

  /** The goods of a fulfillment are on the van, whether or not anybody was told. */
  take(fulfillmentId: string): void {
    for (const shipment of this.shipments) {
      if (shipment.fulfillmentId === fulfillmentId && shipment.status === 'booked') shipment.status = 'taken';
    }
  }

  #once<O extends BookOutcome | CancelShipmentOutcome>(key: string, effect: () => O): O {
    const answer = (this.#answers.get(key) as O | undefined) ?? effect();
    this.#answers.set(key, answer);
    return answer;
  }
}

/** Fulfillments are named after their order with a number behind it. */
function ordinal(fulfillmentId: string): string {
  return fulfillmentId.slice(fulfillmentId.lastIndexOf('-') + 1);
}
