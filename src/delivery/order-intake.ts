import { createHash } from 'node:crypto';
import { DomainFailure } from '../domain/failures.ts';
import type { ArrivedMessage, MessageInbox, OrderQueue, QueuedOrder } from '../domain/message-ports.ts';
import { idempotencyKeyPattern } from '../domain/idempotency.ts';
import type { Idempotency, Intake, IntakeResult, NewOrder, OrderView } from '../domain/order-ports.ts';
import type { Log } from '../telemetry/log.ts';
import { type Gate, createGate } from './gate.ts';
import type { Handover } from './handover.ts';

export interface OrderIntakeDeps {
  readonly queue: OrderQueue;
  readonly inbox: MessageInbox;
  readonly intake: Intake;
  readonly handover: Handover;
  readonly log: Log;
  /** The trace context that a message is dealt with in, for the order's first event. */
  traceparent(): string | undefined;
  /** Reads the JSON of an order as `POST /v1/orders` does. Throws `invalid_input`. */
  parseOrder(body: Uint8Array): NewOrder;
  /** As the API claims it: a key is one over both ways in. */
  idempotencyOf(key: string, order: NewOrder): Idempotency;
}

export interface OrderIntakeSettings {
  /** Attempts at a message after the first; then it goes to the dead letters. */
  readonly maxRetries: number;
  /** Messages under way at a time. */
  readonly prefetch: number;
}

const LONGEST_ERROR = 1_000;

/**
 * Takes orders from the queue until `signal` fires; then finishes those that it has begun. A message is acknowledged
 * when its order is in the database, or when a copy of it is confirmed to wait for its next attempt or to lie among the
 * dead letters. While the database is away nothing is taken and nothing is counted.
 */
export async function runOrderIntake(
  deps: OrderIntakeDeps,
  { maxRetries, prefetch }: OrderIntakeSettings,
  signal: AbortSignal,
): Promise<void> {
  const { inbox, log, queue } = deps;
  const gate = createGate(() => inbox.ping(), log);
  const inTurn = createTurns();
  const handle = async (message: QueuedOrder, arrived: ArrivedMessage): Promise<void> => {
    const stop = AbortSignal.any([signal, message.lost]);
    const { messageId } = arrived;
    try {
      await take({ ...deps, gate }, message, arrived, { maxAttempts: 1 + maxRetries, stop });
    } catch (error) {
      if (!stop.aborted) {
        log.error({ err: error, messageId }, 'order message: could not be dealt with; it is given back');
        // Whatever it is, it must not spin.
        await gate.rest(stop).catch(() => undefined);
      }
      message.giveBack();
    }
  };
  const inItsTurn = (message: QueuedOrder): Promise<void> => {
    const arrived = identify(message);
    return inTurn(arrived.messageId, () => handle(message, arrived));
  };
  await queue.consume(prefetch, inItsTurn, signal);
}

/**
 * Lets the copies of one message have their turns one after the other: at once, each would be in the others' way, and
 * all but one would count that as a failure. `work` must not reject.
 */
function createTurns(): (messageId: string, work: () => Promise<void>) => Promise<void> {
  const last = new Map<string, Promise<void>>();
  return async (messageId, work) => {
    const mine = (last.get(messageId) ?? Promise.resolve()).then(work);
    last.set(messageId, mine);
    await mine;
    if (last.get(messageId) === mine) last.delete(messageId);
  };
}

type Deps = OrderIntakeDeps & { readonly gate: Gate };

async function take(
  deps: Deps,
  message: QueuedOrder,
  arrived: ArrivedMessage,
  { maxAttempts, stop }: { readonly maxAttempts: number; readonly stop: AbortSignal },
): Promise<void> {
  const { gate, inbox, log } = deps;
  const begun = await gate.insist(stop, () => inbox.begin(arrived));
  if (begun.kind === 'done') {
    log.info({ messageId: arrived.messageId, orderId: begun.orderId }, 'order message: done before');
    message.acknowledge();
    return;
  }
  const { attempts, lastError, round } = begun;
  // Beyond the last: the process went away in the middle of that one, or between it and the dead letters.
  const isSpent = begun.kind === 'parked' || attempts > maxAttempts;
  const result = isSpent ? spent(lastError) : await attempt(deps, message, stop);
  if (!(result instanceof Error)) {
    await finish(deps, message, arrived, result, stop);
    return;
  }
  const note = { error: inWords(result), attempts: Math.min(attempts, maxAttempts), round };
  const isLast = attempts >= maxAttempts || isSpent;
  // The copy first: a message that is nowhere is worse than one that is there twice.
  await gate.insist(
    stop,
    () => (isLast ? message.park(note) : message.retry(note)),
    () => true,
  );
  await gate.insist(stop, () => inbox.failed(arrived, note, isLast));
  message.acknowledge();
  const fields = { messageId: arrived.messageId, attempts: note.attempts, err: result };
  if (isLast) log.error(fields, 'order message: parked among the dead letters');
  else log.warn(fields, 'order message: failed; it comes again');
}

/** Resolves with the order, or with what went wrong. A database that is away is waited for within the same attempt. */
async function attempt(deps: Deps, message: QueuedOrder, stop: AbortSignal): Promise<IntakeResult | Error> {
  try {
    const key = requireKey(message.idempotencyKey);
    const order = deps.parseOrder(message.body);
    const claim = deps.idempotencyOf(key, order);
    // Not the sender's trace, which is not to be trusted, but our own.
    return await deps.gate.pass(stop, () => deps.intake.accept(order, claim, deps.traceparent()));
  } catch (error) {
    // It was waited for the database, and there is no more time.
    if (stop.aborted && !(error instanceof DomainFailure)) throw error;
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Starts the order's workflow without having the message wait for it: the sweeper starts what is left. */
async function finish(
  { gate, handover, inbox, log }: Deps,
  message: QueuedOrder,
  arrived: ArrivedMessage,
  result: IntakeResult,
  stop: AbortSignal,
): Promise<void> {
  const isNew = result.kind === 'created';
  const orderId = result.kind === 'replayed' ? result.orderId : result.order.id;
  const started = isNew ? start(handover, result.order, log) : undefined;
  await gate.insist(stop, () => inbox.done(arrived, orderId));
  message.acknowledge();
  log.info({ messageId: arrived.messageId, orderId, replayed: !isNew }, 'order message: accepted');
  await started;
}

async function start(handover: Handover, { id: orderId, totalMinor, currency }: OrderView, log: Log): Promise<void> {
  try {
    await handover.start({ orderId, totalMinor, currency, incarnation: 0 });
  } catch (error) {
    log.warn({ err: error, orderId }, 'workflow not started; the sweeper will start it');
  }
}

function identify({ body, idempotencyKey: key, messageId, round }: QueuedOrder): ArrivedMessage {
  const digest = createHash('sha256')
    .update(`${key ?? ''}\n`)
    .update(body)
    .digest('hex');
  // PostgreSQL keeps no NUL, and an id of nothing names nothing.
  const isUsable = messageId !== undefined && messageId !== '' && !messageId.includes('\0');
  return { messageId: isUsable ? messageId : digest, digest, round };
}

function requireKey(key: string | undefined): string {
  if (key !== undefined && idempotencyKeyPattern.test(key)) return key;
  throw new DomainFailure(
    'idempotency_key_missing',
    `the header idempotency-key is ${key === undefined ? 'missing' : 'no 1 to 255 printable ASCII characters'}; send a key of your own for this order, such as its number with you`,
  );
}

function spent(lastError: string | null): Error {
  return new Error(lastError ?? 'no attempt at it came to an end: the process died each time');
}

/** On one line, since it goes into a header and a column. */
function inWords(error: Error): string {
  const places =
    error instanceof DomainFailure ? error.errors.map(({ pointer, detail }) => `${pointer} ${detail}`) : [];
  const words = [error.message, ...places].join(' | ').replaceAll(/\p{Cc}+/gu, ' ');
  return words.slice(0, LONGEST_ERROR);
}
