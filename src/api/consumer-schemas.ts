import { z } from 'zod';
import type { ConsumerDetails, ConsumerView, ConsumerWithSecret } from '../domain/consumer-ports.ts';
import {
  type ConsumerTarget,
  consumerModes,
  consumerStates,
  DEFAULT_MAX_IN_FLIGHT,
  typePattern,
  typesMatching,
} from '../domain/consumers.ts';
import { eventTypes } from '../domain/events.ts';
import { eventSchemas } from './event-schemas.ts';
import { jsonProblem } from './json.ts';
import { audit, email, instant, named, text, word } from './schemas.ts';

// ---- Requests -----------------------------------------------------------------------------------------------------

const maxFilterBytes = 4_096;

/** What an envelope has at its top; anything else there is most likely meant to stand under `data`. */
const attributes = new Set(Object.keys(eventSchemas['evenkeel.order.created.v1'].shape));

const pattern = z
  .string()
  .regex(typePattern, 'must be 1 to 100 of a-z, 0-9, _ and ., and * for any run of characters')
  .refine((value) => !typePattern.test(value) || typesMatching(value).length > 0, {
    error: ({ input }) => `takes in no type of event; got ${JSON.stringify(input)}. Known are ${eventTypes.join(', ')}`,
  });

/** Text that PostgreSQL cannot keep in jsonb is refused here, with its place. */
const filter = z
  .record(z.string(), z.unknown())
  .superRefine((value, context) => {
    const names = Object.keys(value);
    const refuse = (message: string, path: readonly string[] = []) =>
      context.addIssue({ code: 'custom', message, path: [...path], input: value });
    if (names.length === 0) refuse('must name at least one field; leave it out to get every event');
    for (const name of names.filter((one) => !attributes.has(one))) {
      refuse('is no attribute of an event; what is particular to its type stands under data', [name]);
    }
    const problem = jsonProblem(value);
    if (problem !== undefined) refuse(problem);
    else if (Buffer.byteLength(JSON.stringify(value)) > maxFilterBytes)
      refuse(`must be at most ${maxFilterBytes} bytes as JSON`);
  })
  .describe('Only events whose envelope contains all of this, such as `{"data": {"currency": "GBP"}}`');

/** Not `amq.*`, which are the broker's, nor our own for orders, nor the nameless one, whose keys are queues. */
const amqp = z.strictObject({
  exchange: word(255)
    .regex(/^(?!amq\.)/, "must not begin with amq.: these are the broker's own")
    .regex(/^(?!evenkeel\.orders\.)/, 'must not begin with evenkeel.orders.: by these Evenkeel takes orders in')
    .default('evenkeel.events'),
  routingKey: word(255).nullable().default(null).describe("Without one, the event's type is the key"),
});

/** An address alone or behind a name; no quotes, so that what the header says is what stands here. */
const sender = z
  .string()
  .max(320)
  .regex(
    // oxlint-disable-next-line no-control-regex -- control characters are what may end a header
    /^(?:[^\u0000-\u001f\u007f-\u009f"<>(),:;@\\[\]]+ <[^\s<>]+>|[^\s<>]+)$/,
    'must be an e-mail address, or a name and one: Shop <shop@example.com>',
  )
  .refine((value) => email.safeParse(/<(.*)>$/.exec(value)?.[1] ?? value).success, 'must hold an e-mail address')
  .refine((value) => jsonProblem(value) === undefined, { error: ({ input }) => jsonProblem(input) });

const mail = z.strictObject({
  from: sender.nullable().default(null).describe('Sender of the mails; without one EVENKEEL_MAIL_FROM is it'),
});

/** The parser of URLs would drop some of what is refused here, and encode or keep the rest. */
const endpoint = z
  .string()
  .max(2_048)
  // oxlint-disable-next-line no-control-regex -- control characters are among what it is about
  .regex(/^[^\s\u0000-\u001f\u007f]*$/, 'must not contain blanks or control characters')
  .refine((value) => jsonProblem(value) === undefined, { error: ({ input }) => jsonProblem(input) })
  .describe('An HTTP endpoint that gets signed webhooks');

const fields = {
  name: text(100),
  url: endpoint,
  amqp: amqp.describe('An exchange of the RabbitMQ that Evenkeel is configured with'),
  mail: mail.describe('The customer of each order, by mail, where the order has an `email`'),
  types: z.array(pattern).min(1).max(50).describe('Types of event; `*` stands for any run of characters'),
  filter,
  maxInFlight: z.int().min(1).max(1_000).describe('Deliveries under way at a time, over all workers'),
  enabled: z.boolean().describe('Deliveries of a consumer that is not enabled are held, not dropped'),
};

interface Targets {
  readonly url?: unknown;
  readonly amqp?: unknown;
  readonly mail?: unknown;
}

/** The kinds of target that a body names. */
function targetsOf(body: Targets): readonly string[] {
  return (['url', 'amqp', 'mail'] as const).filter((kind) => body[kind] !== undefined);
}

function refuseSeveralTargets(body: Targets, context: z.RefinementCtx): void {
  const [first, ...others] = targetsOf(body);
  for (const other of others) {
    context.addIssue({
      code: 'custom',
      path: [other],
      message: `goes with no ${first} beside it: a consumer has one target`,
    });
  }
}

export const newConsumer = z
  .strictObject({
    name: fields.name,
    url: fields.url.optional(),
    amqp: fields.amqp.optional(),
    mail: fields.mail.optional(),
    types: fields.types,
    filter: fields.filter.nullable().default(null),
    maxInFlight: fields.maxInFlight.default(DEFAULT_MAX_IN_FLIGHT),
    enabled: fields.enabled.default(true),
    ...audit,
  })
  .superRefine(refuseSeveralTargets)
  .refine((body) => targetsOf(body).length > 0, {
    path: ['url'],
    message: 'is missing; give a url, amqp for an exchange, or mail for the customers',
  });
named.add(newConsumer, {
  id: 'NewConsumer',
  examples: [{ name: 'my shop', url: 'https://shop.example.com/events', types: ['evenkeel.order.*'] }],
});

export const consumerChange = z
  .strictObject({
    name: fields.name.optional(),
    url: fields.url.optional(),
    amqp: fields.amqp.optional(),
    mail: fields.mail.optional(),
    types: fields.types.optional(),
    filter: fields.filter.nullable().optional(),
    maxInFlight: fields.maxInFlight.optional(),
    enabled: fields.enabled.optional(),
    ...audit,
  })
  .superRefine(refuseSeveralTargets)
  .refine(
    ({ actor: _actor, reason: _reason, ...change }) => Object.values(change).some((value) => value !== undefined),
    {
      path: [],
      message: 'changes nothing; name at least one field of the consumer',
    },
  );
named.add(consumerChange, { id: 'ConsumerChange' });

// ---- Answers ------------------------------------------------------------------------------------------------------

const consumerShape = {
  id: z.uuid(),
  name: z.string(),
  url: z.string().optional(),
  amqp: z.object({ exchange: z.string(), routingKey: z.string().nullable() }).optional(),
  mail: z.object({ from: z.string().nullable() }).optional(),
  types: z.array(z.string()),
  filter: z.record(z.string(), z.unknown()).nullable(),
  maxInFlight: z.int(),
  enabled: z.boolean(),
  state: z
    .enum(consumerStates)
    .describe('`paused`, by a person; `disabled`, by a person, its own 410 or a long outage'),
  stateReason: z.string().nullable().describe('Why it is paused or disabled'),
  stateSince: instant,
  version: z.int().min(0).describe('Rises with every change of these; the ETag'),
  createdAt: instant,
  formerSecretValidUntil: instant.nullable().describe('Until then each delivery is signed with the former secret too'),
};

export const consumer = z.object(consumerShape);
named.add(consumer, { id: 'Consumer' });

export const consumerList = z.object({ data: z.array(consumer), nextCursor: z.string().nullable() });
named.add(consumerList, { id: 'ConsumerList' });

export const consumerWithSecret = z.object({
  ...consumerShape,
  secret: z.string().describe('What deliveries are signed with; shown now and never again'),
});
named.add(consumerWithSecret, { id: 'ConsumerWithSecret' });

export const consumerDetails = z.object({
  ...consumerShape,
  health: z.object({
    mode: z.enum(consumerModes),
    trouble: z.object({ since: instant, reason: z.string(), epoch: z.int() }).nullable(),
    throttledUntil: instant.nullable().describe('It said that it is overloaded'),
    backlog: z.int().min(0).describe('Deliveries that wait, those under way included'),
    lagSeconds: z.number().min(0).describe('Age of the oldest of these'),
    deadLetters: z.int().min(0),
    lastHour: z.object({
      attempts: z.int().min(0),
      successes: z.int().min(0),
      successRate: z.number().min(0).max(1).nullable().describe('Null without attempts'),
    }),
    lastSuccessAt: instant.nullable(),
    lastFailures: z.array(
      z.object({
        at: instant,
        eventId: z.string(),
        cause: z.string(),
        status: z.int().nullable(),
        error: z.string().nullable(),
      }),
    ),
  }),
});
named.add(consumerDetails, { id: 'ConsumerDetails' });

export const pingResult = z.object({
  eventId: z.uuid(),
  outcome: z.enum(['delivered', 'failed']),
  cause: z.string().nullable(),
  status: z.int().nullable(),
  answer: z.string().nullable().describe('Its first 4 KiB'),
  error: z.string().nullable().describe('In words'),
  durationMs: z.number().min(0),
});
named.add(pingResult, { id: 'PingResult' });

/** A consumer as the API shows it: its target by its kind, and a secret nowhere. */
export function shownConsumer(view: ConsumerView): z.output<typeof consumer> {
  const { id, name, target, types, filter: only, maxInFlight, state, stateReason, stateSince } = view;
  const { version, createdAt, formerSecretValidUntil } = view;
  return {
    id,
    name,
    ...shownTarget(target),
    types: [...types],
    filter: only,
    maxInFlight,
    enabled: state === 'enabled',
    state,
    stateReason,
    stateSince,
    version,
    createdAt,
    formerSecretValidUntil,
  };
}

function shownTarget(target: ConsumerTarget): Pick<z.output<typeof consumer>, 'url' | 'amqp' | 'mail'> {
  if (target.kind === 'http') return { url: target.url };
  const { kind, ...settings } = target;
  return { [kind]: settings };
}

export function shownWithSecret(view: ConsumerWithSecret): z.output<typeof consumerWithSecret> {
  return { ...shownConsumer(view), secret: view.secret };
}

export function shownDetails(view: ConsumerDetails): z.output<typeof consumerDetails> {
  const { lastFailures, ...health } = view.health;
  return { ...shownConsumer(view), health: { ...health, lastFailures: [...lastFailures] } };
}
