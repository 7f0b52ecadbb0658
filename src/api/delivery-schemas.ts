import { z } from 'zod';
import {
  type DeadLetterGroup,
  deadLetterGroupings,
  deliveryStatuses,
  type EventView,
  redriveStates,
  type RedriveView,
} from '../domain/consumer-ports.ts';
import { typePattern, typesMatching } from '../domain/consumers.ts';
import { instant, named } from './schemas.ts';

/** A pattern that somebody looks with; one that takes in nothing is most likely a slip of the pen. */
export const typeWanted = z
  .string()
  .regex(typePattern, 'must be 1 to 100 of a-z, 0-9, _ and ., and * for any run of characters')
  .refine((pattern) => typesMatching(pattern).length > 0, 'takes in no type of event; see GET /v1/event-types')
  .optional()
  .describe('Types of event; `*` stands for any run of characters');

// ---- Answers ------------------------------------------------------------------------------------------------------

const nextCursor = z.string().nullable();
const envelope = z.record(z.string(), z.unknown()).describe('As it was sent; see GET /v1/event-types');

const eventShape = {
  id: z.string(),
  type: z.string(),
  orderId: z.string(),
  sequence: z.int().min(1),
  at: instant,
  replaces: z.string().nullable().describe('Of a corrected event: the id of the one that it stands in for'),
  envelope,
};

const event = z.object(eventShape) satisfies z.ZodType<EventView>;
named.add(event, { id: 'Event' });

export const eventList = z.object({ data: z.array(event), nextCursor });
named.add(eventList, { id: 'EventList' });

const attempt = z.object({
  startedAt: instant,
  durationMs: z.number().min(0),
  outcome: z.enum(['delivered', 'failed']),
  cause: z.string().nullable(),
  status: z.int().nullable(),
  answer: z.string().nullable().describe('Its first 4 KiB'),
  error: z.string().nullable(),
  relay: z.string(),
  late: z.boolean().describe('Another worker had taken the delivery over meanwhile'),
});
named.add(attempt, { id: 'Attempt' });

const log = z.array(attempt);

export const eventDetails = z.object({
  ...eventShape,
  deliveries: z
    .array(
      z.object({
        id: z.string(),
        consumerId: z.string(),
        consumerName: z.string(),
        status: z.enum(deliveryStatuses),
        attempts: z.int().min(0),
        nextAttemptAt: instant.nullable(),
        settledAt: instant.nullable(),
        log,
      }),
    )
    .describe('One for each consumer that it is meant for'),
});
named.add(eventDetails, { id: 'EventDetails' });

const letterShape = {
  id: z.string(),
  consumerId: z.string(),
  consumerName: z.string(),
  eventId: z.string(),
  type: z.string(),
  orderId: z.string(),
  sequence: z.int().min(1),
  cause: z.string(),
  attempts: z.int().min(0),
  eventAt: instant,
  deadSince: instant,
  lastStatus: z.int().nullable(),
  lastError: z.string().nullable(),
};

export const deadLetter = z.object(letterShape);
named.add(deadLetter, { id: 'DeadLetter' });

export const deadLetterGroup = z.object({
  key: z.string().describe("The cause, the consumer's id, or the type"),
  count: z.int().min(0),
  oldest: instant,
  newest: instant,
  example: z.string().nullable().describe('The last error of the newest'),
}) satisfies z.ZodType<DeadLetterGroup>;
named.add(deadLetterGroup, { id: 'DeadLetterGroup' });

export const deadLetterAnswer = z.union([
  z.object({ data: z.array(deadLetter), nextCursor }),
  z.object({ groupBy: z.enum(deadLetterGroupings), groups: z.array(deadLetterGroup) }),
]);
named.add(deadLetterAnswer, { id: 'DeadLetterListOrGroups' });

export const deadLetterDetails = z.object({
  ...letterShape,
  status: z.enum(deliveryStatuses).describe('`dead`, or what became of it since'),
  envelope,
  log,
  actions: z
    .array(z.object({ at: instant, action: z.string(), actor: z.string(), reason: z.string().nullable() }))
    .describe('What people did to it, oldest first'),
});
named.add(deadLetterDetails, { id: 'DeadLetterDetails' });

export const letterSent = z.object({ id: z.string(), eventId: z.string() });
named.add(letterSent, { id: 'DeadLetterRetried' });

export const letterReplaced = z.object({
  replaces: z.string().describe('The event that was corrected'),
  eventId: z.string().describe('The event that is sent in its stead'),
  deliveryId: z.string(),
});
named.add(letterReplaced, { id: 'DeadLetterReplaced' });

export const redrive = z.object({
  id: z.string(),
  state: z
    .enum(redriveStates)
    .describe('`canary`: the first few are out; `failed`: none of these was delivered, and the rest was left alone'),
  filter: z.object({
    consumerId: z.string().optional(),
    cause: z.string().optional(),
    type: z.string().optional(),
    orderId: z.string().optional(),
    since: z.string().optional(),
    until: z.string().optional(),
  }),
  ratePerSecond: z.number(),
  total: z.int().min(0).describe('Dead letters that it took in when it was made'),
  sent: z.int().min(0).describe('Sent again so far'),
  delivered: z.int().min(0),
  deadAgain: z.int().min(0),
  actor: z.string(),
  reason: z.string().nullable(),
  createdAt: instant,
  finishedAt: instant.nullable(),
}) satisfies z.ZodType<RedriveView>;
named.add(redrive, { id: 'Redrive' });

export const redriveList = z.object({ data: z.array(redrive), nextCursor });
named.add(redriveList, { id: 'RedriveList' });

export const redrivePreview = z.object({
  count: z.int().min(0).describe('How many would be sent again; none was'),
  byCause: z.array(deadLetterGroup),
  byConsumer: z.array(deadLetterGroup),
  byType: z.array(deadLetterGroup),
});
named.add(redrivePreview, { id: 'RedrivePreview' });
