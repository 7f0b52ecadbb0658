import { DomainFailure } from './failures.ts';
import type {
  AuthorizeOutcome,
  BookOutcome,
  CancelShipmentOutcome,
  CaptureOutcome,
  Carrier,
  EffectJournal,
  EffectKind,
  EffectRecord,
  EffectTypes,
  OpenedEffect,
  PaymentGateway,
  Payments,
  RefundOutcome,
  Shipping,
  StrayEffect,
  UndoOutcome,
  VoidOutcome,
} from './provider-ports.ts';
import type { Attempt, StepRef } from './step-ports.ts';
import { LATE, type StepName, generationOf, stepKey } from './steps.ts';

/**
 * The protocol that makes a provider's effect happen once: commit the request with its input, ask the provider what it
 * knows of the key unless this is the first attempt, send, commit the outcome. Whatever crashes between two of these,
 * the next attempt finds out where the former one got to.
 */
async function perform<K extends EffectKind>(
  step: StepRef,
  effect: {
    kind: K;
    journal: EffectJournal;
    opened: OpenedEffect<K>;
    lookup: () => Promise<EffectTypes[K]['outcome'] | undefined>;
    send: (input: EffectTypes[K]['input']) => Promise<EffectTypes[K]['outcome']>;
  },
): Promise<EffectTypes[K]['outcome']> {
  const { opened, journal, kind } = effect;
  if (opened.outcome !== undefined) return happened(step, opened.outcome);
  const known = opened.first ? undefined : await effect.lookup();
  return happened(step, await journal.settle(step, kind, known ?? (await effect.send(opened.input))));
}

function happened<O extends { readonly outcome: string }>(
  step: StepRef,
  outcome: O | { readonly outcome: 'never_happened' },
): O {
  if (isReal(outcome)) return outcome;
  throw new DomainFailure('step_undone', `step ${step.key} was undone and must not happen any more`);
}

function isReal<O extends { readonly outcome: string }>(
  outcome: O | { readonly outcome: 'never_happened' },
): outcome is O {
  return outcome.outcome !== 'never_happened';
}

/**
 * The first half of an undo: forbids further attempts of the step and finds out what became of it. Where there is no
 * effect left to take back, the answer is the undo's: `nothing` if it never will have one, `look_again` while an
 * attempt may be on its way, `undone` if somebody took it back under another key.
 */
async function findUndone<K extends EffectKind>(
  undo: StepRef & { readonly undoes: string; readonly final: boolean },
  effect: { kind: K; journal: EffectJournal; lookup: () => Promise<EffectTypes[K]['outcome'] | undefined> },
): Promise<(EffectRecord<K> & { readonly outcome: EffectTypes[K]['outcome'] }) | 'nothing' | 'look_again' | 'undone'> {
  const { journal, kind } = effect;
  const undone: StepRef = { orderId: undo.orderId, key: undo.undoes };
  const record = await journal.tombstone(undone, kind);
  if (record === undefined) return 'nothing';
  if (record.undone === true) return 'undone';
  if (record.outcome !== undefined && isReal(record.outcome)) return { ...record, outcome: record.outcome };
  const found = await effect.lookup();
  if (found === undefined && !undo.final) return 'look_again';
  // What somebody else found out meanwhile stands.
  const settled = await journal.settle(undone, kind, found ?? { outcome: 'never_happened' });
  return isReal(settled) ? { ...record, outcome: settled } : 'nothing';
}

/** Payment steps over a journal and a gateway. */
export function recordedPayments(journal: EffectJournal, gateway: PaymentGateway): Payments {
  const lookup = async <O extends { readonly outcome: string }>(
    key: string,
    attempt: Attempt,
    outcomes: readonly O['outcome'][],
  ): Promise<O | undefined> => expectOutcome<O>(key, await gateway.lookup(key, attempt), outcomes);
  const authorized = (key: string, attempt: Attempt): Promise<AuthorizeOutcome | undefined> =>
    lookup<AuthorizeOutcome>(key, attempt, ['authorized', 'declined']);
  const captured = (key: string, attempt: Attempt): Promise<CaptureOutcome | undefined> =>
    lookup<CaptureOutcome>(key, attempt, ['captured', 'refused']);

  return {
    async authorize(step, attempt) {
      return perform(step, {
        kind: 'authorize',
        journal,
        opened: await journal.openAuthorize(step),
        lookup: () => authorized(step.key, attempt),
        send: (input) => gateway.authorize(step.key, input, attempt),
      });
    },

    async capture({ orderId, key, fulfillmentId, amountMinor, currency, authorizeKey }, attempt) {
      const step = { orderId, key };
      const authorization = await journal.find(authorizeKey, 'authorize');
      if (authorization?.outcome?.outcome !== 'authorized') {
        throw new DomainFailure('conflict', `step ${key} captures ${authorizeKey}, which is not authorized`);
      }
      const { authorizationId } = authorization.outcome;
      const input = { orderId, fulfillmentId, amountMinor, currency, authorizationId };
      return perform(step, {
        kind: 'capture',
        journal,
        opened: await journal.open(step, 'capture', input),
        lookup: () => captured(key, attempt),
        send: async (fixed) =>
          fixed.amountMinor === 0
            ? { outcome: 'captured', captureId: nothing(key) }
            : gateway.capture(key, fixed, attempt),
      });
    },

    async undoAuthorize(undo, attempt) {
      const found = await findUndone(undo, {
        kind: 'authorize',
        journal,
        lookup: () => authorized(undo.undoes, attempt),
      });
      if (typeof found === 'string') return { outcome: found };
      if (found.outcome.outcome === 'declined') return { outcome: 'nothing' };
      const { orderId, amountMinor, currency } = found.input;
      const input = { orderId, amountMinor, currency, authorizationId: found.outcome.authorizationId };
      return asUndo(
        await perform(undo, {
          kind: 'void',
          journal,
          opened: await journal.open(undo, 'void', input),
          lookup: () => lookup<VoidOutcome>(undo.key, attempt, ['voided', 'refused']),
          send: (fixed) => gateway.void(undo.key, fixed, attempt),
        }),
      );
    },

    async undoCapture(undo, attempt) {
      const found = await findUndone(undo, { kind: 'capture', journal, lookup: () => captured(undo.undoes, attempt) });
      if (typeof found === 'string') return { outcome: found };
      if (found.outcome.outcome === 'refused') return { outcome: 'nothing' };
      const { orderId, amountMinor, currency, fulfillmentId } = found.input;
      const input = { orderId, amountMinor, currency, fulfillmentId, captureId: found.outcome.captureId };
      return asUndo(
        await perform(undo, {
          kind: 'refund',
          journal,
          opened: await journal.open(undo, 'refund', input),
          lookup: () => lookup<RefundOutcome>(undo.key, attempt, ['refunded', 'refused']),
          send: async (fixed) =>
            fixed.amountMinor === 0
              ? { outcome: 'refunded', refundId: nothing(undo.key) }
              : gateway.refund(undo.key, fixed, attempt),
        }),
      );
    },
  };
}

/** What is given away costs nothing, and no gateway takes an amount of 0: this stands for the gateway's own id. */
function nothing(key: string): string {
  return `nothing-${key}`;
}

/** Shipping steps over a journal and a carrier. */
export function recordedShipping(journal: EffectJournal, carrier: Carrier): Shipping {
  const booked = async (key: string, attempt: Attempt): Promise<BookOutcome | undefined> =>
    expectOutcome<BookOutcome>(key, await carrier.lookup(key, attempt), ['booked', 'refused']);

  return {
    async book(step, attempt) {
      return perform(step, {
        kind: 'book',
        journal,
        opened: await journal.openBook(step),
        lookup: () => booked(step.key, attempt),
        send: (input) => carrier.book(step.key, input, attempt),
      });
    },

    async undoBook(undo, attempt) {
      const found = await findUndone(undo, { kind: 'book', journal, lookup: () => booked(undo.undoes, attempt) });
      if (typeof found === 'string') return { outcome: found };
      if (found.outcome.outcome === 'refused') return { outcome: 'nothing' };
      const input = { shipmentId: found.outcome.shipmentId, fulfillmentId: undo.fulfillmentId };
      const outcome = await perform(undo, {
        kind: 'cancel_shipment',
        journal,
        opened: await journal.open(undo, 'cancel_shipment', input),
        lookup: async () =>
          expectOutcome<CancelShipmentOutcome>(undo.key, await carrier.lookup(undo.key, attempt), [
            'cancelled',
            'already_dispatched',
          ]),
        send: (fixed) => carrier.cancel(undo.key, fixed, attempt),
      });
      return { outcome: outcome.outcome === 'cancelled' ? 'undone' : 'already_dispatched' };
    },
  };
}

function asUndo(outcome: VoidOutcome | RefundOutcome): UndoOutcome {
  return outcome.outcome === 'refused' ? outcome : { outcome: 'undone' };
}

/** Narrows a look-up's answer to what its operation can end in; another answer means that the key was misused. */
function expectOutcome<O extends { readonly outcome: string }>(
  key: string,
  found: { readonly outcome: string } | undefined,
  outcomes: readonly O['outcome'][],
): O | undefined {
  if (found === undefined) return undefined;
  const is = (candidate: { readonly outcome: string }): candidate is O => outcomes.includes(candidate.outcome);
  if (is(found)) return found;
  throw new DomainFailure(
    'provider_rejected',
    `the provider reports '${found.outcome}' for key ${key}, not one of ${outcomes.join(', ')}`,
  );
}

/**
 * Asks the provider what became of a request without an outcome (or of one that was thought never to have happened)
 * and records it. False if the provider knows nothing of it (yet).
 */
export async function resolveUnknown(
  { journal, gateway, carrier }: { journal: EffectJournal; gateway: PaymentGateway; carrier: Carrier },
  { orderId, key, kind }: { readonly orderId: string; readonly key: string; readonly kind: EffectKind },
  attempt: Attempt,
): Promise<boolean> {
  const ask = kind === 'book' || kind === 'cancel_shipment' ? carrier : gateway;
  const found = await ask.lookup(key, attempt);
  if (found === undefined) return false;
  await journal.settle({ orderId, key }, kind, found);
  return true;
}

/** Takes an effect back that landed after its undo had found nothing, under a key of its own. */
export async function undoStray(
  { payments, shipping }: { payments: Payments; shipping: Shipping },
  { orderId, key, kind, fulfillmentId }: StrayEffect,
  attempt: Attempt,
): Promise<UndoOutcome> {
  const late = (step: StepName): string =>
    stepKey(orderId, step, generationOf(key), fulfillmentId === null ? LATE : `${fulfillmentId}:${LATE}`);
  const undo = { orderId, undoes: key, final: true };
  const id = fulfillmentId ?? '';
  const undos = {
    authorize: () => payments.undoAuthorize({ ...undo, key: late('void') }, attempt),
    capture: () => payments.undoCapture({ ...undo, key: late('refund'), fulfillmentId: id }, attempt),
    book: () => shipping.undoBook({ ...undo, key: late('cancel_shipment'), fulfillmentId: id }, attempt),
  };
  return undos[kind]();
}
