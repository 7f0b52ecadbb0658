import { type EventType, eventTypes } from '../domain/events.ts';
import { pingEnvelope, pingType } from './consumer-ping.ts';
import { describeEventType } from './event-catalog.ts';
import { publishedSchema } from './event-schemas.ts';

type Json = Readonly<Record<string, unknown>>;

const consumerId = '3f0d6c1e-8b51-4c8e-9d57-6a2f0e9b7c44';

/** What a consumer is sent: an entry for each type of event, and one for the test event. */
export function webhooks(): Record<string, Json> {
  return Object.fromEntries([
    ...eventTypes.map((type) => {
      const { description, example } = describeEventType(type);
      return [type, webhook(type, `An event: ${description}`, componentOf(type), example)];
    }),
    [pingType, webhook(pingType, 'A test event, when somebody asks for it', 'Ping', pingExample())],
  ]);
}

/** The envelopes that the entries refer to. */
export function webhookSchemas(): Record<string, Json> {
  return Object.fromEntries([
    ...eventTypes.map((type) => [componentOf(type), publishedSchema(type)]),
    ['Ping', pingSchema()],
  ]);
}

/** `evenkeel.order.confirmed.v1` to `OrderConfirmedV1`. */
function componentOf(type: EventType): string {
  const words = type.split(/[._]/).slice(1);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

function webhook(type: string, summary: string, component: string, example: Json): Json {
  return {
    post: {
      operationId: type.replaceAll('.', '_'),
      tags: ['Events'],
      summary,
      parameters: [
        header('webhook-id', "The event's id; the same in every attempt: drop what you had"),
        header('webhook-timestamp', 'When this attempt was signed, in seconds since 1970; refuse old ones'),
        header(
          'webhook-signature',
          '`v1,<base64>` of HMAC-SHA256 over `id.timestamp.body` (https://www.standardwebhooks.com), one for each valid secret, separated by blanks',
        ),
      ],
      requestBody: {
        required: true,
        content: { 'application/cloudevents+json': { schema: { $ref: `#/components/schemas/${component}` }, example } },
      },
      responses: {
        '2XX': { description: 'Delivered' },
        '410': { description: 'Send nothing any more: disables the consumer until somebody enables it' },
        '429': later('Too many: all deliveries to the consumer wait'),
        '503': later('Not now: all deliveries to the consumer wait; 502 and 504 are the same'),
        default: {
          description: 'Failed, redirections included: sent again after a while, and a dead letter in the end',
        },
      },
    },
  };
}

function header(name: string, description: string): Json {
  return { name, in: 'header', required: true, description, schema: { type: 'string' } };
}

function later(description: string): Json {
  const retryAfter = { description: 'Seconds to wait, or a date; honored', schema: { type: 'string' } };
  return { description, headers: { 'Retry-After': retryAfter } };
}

function pingExample(): Json {
  return pingEnvelope('5d2c7c9a-6f0e-4a43-9d0b-2f7a4a1d3c55', consumerId, new Date('2026-01-02T03:04:05.678Z'));
}

function pingSchema(): Json {
  const text = { type: 'string' };
  return {
    type: 'object',
    properties: {
      specversion: { const: '1.0' },
      id: text,
      source: text,
      type: { const: pingType },
      time: { type: 'string', format: 'date-time' },
      subject: { ...text, description: "The consumer's id" },
      datacontenttype: { const: 'application/json' },
      data: { type: 'object' },
    },
    required: Object.keys(pingExample()),
  };
}
