import type { ApiDeps } from '../../src/api/deps.ts';
import type {
  ConsumerDetails,
  ConsumerWithSecret,
  DeadLetterDetails,
  EventDetails,
  RedriveView,
} from '../../src/domain/consumer-ports.ts';

export const orderId = '7f6f3c1e-58a5-4c6e-9a7e-0f4b8f6f2a11';
export const consumerId = '3f0d6c1e-8b51-4c8e-9d57-6a2f0e9b7c44';
export const eventId = '5d2c7c9a-6f0e-4a43-9d0b-2f7a4a1d3c55';
export const letterId = '81';
export const redriveId = '9b1f2a6d-4c3e-4d5f-8a7b-0c1d2e3f4a5b';
export const secret = 'whsec_b3BlbiBzZXNhbWUgYW5kIGNsb3NlIGFnYWlu';

const target = { kind: 'http', url: 'https://shop.example/hooks' } as const;

export const newConsumer = { name: 'warehouse', url: target.url, types: ['evenkeel.order.*'] };

/** A consumer with something in every place that an answer can have. */
export function consumerView(changes: Partial<ConsumerDetails> = {}): ConsumerDetails {
  return {
    id: consumerId,
    name: 'warehouse',
    target,
    types: ['evenkeel.order.*'],
    filter: { data: { currency: 'GBP' } },
    maxInFlight: 8,
    state: 'enabled',
    stateReason: null,
    stateSince: '2026-01-02T03:04:05.000Z',
    version: 3,
    createdAt: '2026-01-02T03:04:05.000Z',
    formerSecretValidUntil: '2026-01-03T03:04:05.000Z',
    health: {
      mode: 'probing',
      trouble: { since: '2026-01-02T03:04:05.000Z', reason: 'http_500', epoch: 2 },
      throttledUntil: '2026-01-02T03:04:06.000Z',
      backlog: 12,
      lagSeconds: 3.5,
      deadLetters: 1,
      lastHour: { attempts: 4, successes: 1, successRate: 0.25 },
      lastSuccessAt: '2026-01-02T03:04:05.000Z',
      lastFailures: [{ at: '2026-01-02T03:04:05.000Z', eventId, cause: 'http_500', status: 500, error: 'it said 500' }],
    },
    ...changes,
  };
}

function consumerWithSecret(): ConsumerWithSecret {
  const { health: _health, ...view } = consumerView();
  return { ...view, secret };
}

const attempt = {
  startedAt: '2026-01-02T03:04:05.000Z',
  durationMs: 12,
  outcome: 'failed',
  cause: 'http_500',
  status: 500,
  answer: 'oops',
  error: 'it answered 500',
  relay: 'relay-1',
  late: false,
} as const;

export function eventDetails(): EventDetails {
  const type = 'evenkeel.order.confirmed.v1';
  return {
    id: eventId,
    type,
    orderId,
    sequence: 4,
    at: '2026-01-02T03:04:05.000Z',
    replaces: null,
    envelope: { specversion: '1.0', id: eventId, type, data: { totalMinor: 1530, currency: 'GBP' } },
    deliveries: [
      {
        id: letterId,
        consumerId,
        consumerName: 'warehouse',
        status: 'dead',
        attempts: 1,
        nextAttemptAt: null,
        settledAt: '2026-01-02T03:04:06.000Z',
        log: [attempt],
      },
    ],
  };
}

export function letterDetails(changes: Partial<DeadLetterDetails> = {}): DeadLetterDetails {
  const { type, envelope } = eventDetails();
  return {
    id: letterId,
    consumerId,
    consumerName: 'warehouse',
    eventId,
    type,
    orderId,
    sequence: 4,
    cause: 'http_500',
    attempts: 1,
    eventAt: '2026-01-02T03:04:05.000Z',
    deadSince: '2026-01-02T03:04:06.000Z',
    lastStatus: 500,
    lastError: 'it answered 500',
    status: 'dead',
    envelope,
    log: [attempt],
    actions: [{ at: '2026-01-02T03:04:07.000Z', action: 'retry', actor: 'Grace', reason: null }],
    ...changes,
  };
}

export function redriveView(changes: Partial<RedriveView> = {}): RedriveView {
  return {
    id: redriveId,
    state: 'canary',
    filter: { cause: 'http_500' },
    ratePerSecond: 10,
    total: 30,
    sent: 5,
    delivered: 4,
    deadAgain: 1,
    actor: 'Grace',
    reason: 'it is mended',
    createdAt: '2026-01-02T03:04:05.000Z',
    finishedAt: null,
    ...changes,
  };
}

/** Writes down what a port was asked, by name, and gives the answer. */
export type Asked = <T>(answer: T, ...call: readonly [string, ...unknown[]]) => Promise<T>;

/** The ports of delivery, saying yes. */
export function deliveryFakes(
  asked: Asked,
): Pick<ApiDeps, 'consumers' | 'events' | 'deadLetters' | 'redrives' | 'deliveryWorkflows' | 'sender'> {
  const { health: _health, ...consumer } = consumerView();
  const { deliveries: _deliveries, ...event } = eventDetails();
  const { status: _status, envelope: _envelope, log: _log, actions: _actions, ...letter } = letterDetails();
  const group = {
    key: 'http_500',
    count: 3,
    oldest: '2026-01-02T03:04:05.000Z',
    newest: '2026-01-02T03:04:06.000Z',
    example: 'it answered 500',
  };
  return {
    consumers: {
      create: (...args) => asked({ kind: 'created', value: consumerWithSecret() }, 'consumers.create', ...args),
      list: (...args) => asked({ data: [consumer], nextCursor: 'bmV4dA' }, 'consumers.list', ...args),
      find: (id) => asked(id === consumerId ? consumerView() : undefined, 'consumers.find', id),
      change: (...args) => asked(consumer, 'consumers.change', ...args),
      rotateSecret: (...args) => asked(consumerWithSecret(), 'consumers.rotateSecret', ...args),
      remove: (...args) => asked(undefined, 'consumers.remove', ...args),
      destination: (id) => asked({ consumerId: id, target, secrets: [secret] }, 'consumers.destination', id),
    },
    events: {
      list: (filter) => asked({ data: [event], nextCursor: null }, 'events.list', filter),
      find: (id) => asked(id === eventId ? eventDetails() : undefined, 'events.find', id),
    },
    deadLetters: {
      list: (...args) => asked({ data: [letter], nextCursor: 'bmV4dA' }, 'deadLetters.list', ...args),
      groups: (...args) => asked([group], 'deadLetters.groups', ...args),
      count: (filter) => asked(3, 'deadLetters.count', filter),
      find: (id) => asked(id === letterId ? letterDetails() : undefined, 'deadLetters.find', id),
      retry: (...args) => asked(undefined, 'deadLetters.retry', ...args),
      edit: (...args) => asked({ eventId: redriveId, deliveryId: '82' }, 'deadLetters.edit', ...args),
      discard: (...args) => asked(undefined, 'deadLetters.discard', ...args),
    },
    redrives: {
      create: (...args) => asked({ kind: 'created', value: redriveView() }, 'redrives.create', ...args),
      find: (id) => asked(id === redriveId ? redriveView() : undefined, 'redrives.find', id),
      list: (...args) => asked({ data: [redriveView()], nextCursor: null }, 'redrives.list', ...args),
      steer: (...args) => asked(redriveView(), 'redrives.steer', ...args),
      sendNext: (...args) => asked(0, 'redrives.sendNext', ...args),
      advance: (...args) => asked(undefined, 'redrives.advance', ...args),
      open: () => asked([], 'redrives.open'),
    },
    deliveryWorkflows: {
      startTrouble: (...args) => asked(undefined, 'deliveryWorkflows.startTrouble', ...args),
      tellTrouble: (id) => asked(undefined, 'deliveryWorkflows.tellTrouble', id),
      startRedrive: (id) => asked(undefined, 'deliveryWorkflows.startRedrive', id),
      tellRedrive: (id) => asked(undefined, 'deliveryWorkflows.tellRedrive', id),
    },
    sender: {
      send: (outgoing, to) => {
        const startedAt = new Date('2026-01-02T03:04:05.000Z');
        const answer = { status: 204, answer: '', cause: null, error: null, retryAfterMs: null };
        return asked({ outcome: 'delivered', ...answer, startedAt, durationMs: 12 }, 'sender.send', outgoing, to);
      },
      close: () => asked(undefined, 'sender.close'),
    },
  };
}
