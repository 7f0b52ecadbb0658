/**
 * Every kind of span that Evenkeel records, and every attribute of one, once. The compiler asks for an attribute's line
 * here; the tables of docs/tracing.md are made from it. OpenTelemetry's semantic conventions where there are any
 * (https://opentelemetry.io/docs/specs/semconv/), `evenkeel.` where there are none. Ids, codes and counts: nothing that
 * says who somebody is, how they pay or what they wrote.
 */
export const spanAttributes = {
  'http.request.method': 'Method of the request',
  'http.route': 'Path of the route as the API documents it, with no value in it',
  'http.response.status_code': 'Status of the answer',
  'url.scheme': '`http` or `https`',
  'server.address': "Host of the consumer's URL; its path and query are the consumer's own business",
  'server.port': 'Port in that URL, where one is in it',
  'db.system.name': '`postgresql`',
  'db.operation.name': 'What the statement does: its first write, else its first word',
  'db.collection.name': 'Table that it writes, else the first that it reads',
  'db.query.text': 'Text of the statement, up to 300 characters; its values are `$1`, `$2` …',
  'messaging.system': '`rabbitmq`',
  'messaging.operation.name': '`publish`',
  'messaging.operation.type': '`send` or `process`',
  'messaging.destination.name': 'Exchange that the event was published to',
  'messaging.rabbitmq.destination.routing_key': 'Routing key that it was published with',
  'error.type': 'Of what failed: our own code, or the class of the error; never its words',
  'evenkeel.order.id': 'The order',
  'evenkeel.workflow.id': 'The workflow, by which Temporal knows it',
  'evenkeel.step.key': 'The idempotency key of the step, which the provider knows too',
  'evenkeel.fulfillment.id': 'The fulfillment',
  'evenkeel.consumer.id': 'The consumer',
  'evenkeel.redrive.id': 'The redrive',
  'evenkeel.event.id': 'The event',
  'evenkeel.provider': '`payment`, `payment-fallback`, `carrier`, `quotes` or `risk`',
  'evenkeel.outcome': 'How the business answered, such as `declined`: no failure',
  'evenkeel.activity.attempt': 'Which attempt of the activity, from 1',
  'evenkeel.activity.local': 'Whether it ran inside the workflow task',
  'evenkeel.cancelled': '`true` where nobody wanted it any more: no failure',
} as const satisfies Record<string, string>;

export type SpanAttribute = keyof typeof spanAttributes;
export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** What any span may have. */
export const commonAttributes = ['error.type', 'evenkeel.cancelled'] as const satisfies readonly SpanAttribute[];

export interface SpanType {
  /** What stands between `<` and `>` differs. */
  readonly name: string;
  readonly kind: SpanKind;
  readonly meaning: string;
  readonly attributes: readonly SpanAttribute[];
}

const ofWorkflow = ['evenkeel.workflow.id', 'evenkeel.order.id'] as const;

export const spanTypes: readonly SpanType[] = [
  {
    name: '<METHOD> <route>',
    kind: 'server',
    meaning: "A request to the API, always a root; a caller's own trace is linked. Probes are not recorded",
    attributes: ['http.request.method', 'url.scheme', 'http.route', 'http.response.status_code', 'evenkeel.order.id'],
  },
  {
    name: 'process order message',
    kind: 'consumer',
    meaning: "One attempt at an order from the queue, always a root; its sender's trace is linked",
    attributes: ['messaging.system', 'messaging.operation.type'],
  },
  { name: 'start <workflow>', kind: 'client', meaning: 'The start of a workflow', attributes: ofWorkflow },
  { name: 'signal <name>', kind: 'client', meaning: 'What a workflow is told', attributes: ofWorkflow },
  { name: 'update <name>', kind: 'client', meaning: 'What a workflow is asked to accept', attributes: ofWorkflow },
  {
    name: 'activity <name>',
    kind: 'internal',
    meaning: 'One attempt of an activity, below what the workflow heard last',
    attributes: [
      ...ofWorkflow,
      'evenkeel.step.key',
      'evenkeel.fulfillment.id',
      'evenkeel.consumer.id',
      'evenkeel.redrive.id',
      'evenkeel.activity.attempt',
      'evenkeel.activity.local',
      'evenkeel.outcome',
    ],
  },
  {
    name: '<provider> <operation>',
    kind: 'client',
    meaning: 'One call to a provider, which gets its context in the header `traceparent`',
    attributes: ['evenkeel.provider', 'evenkeel.order.id', 'evenkeel.step.key', 'evenkeel.outcome'],
  },
  {
    name: '<OPERATION> <table>',
    kind: 'client',
    meaning: 'One SQL statement within any of these; without a table where it has none, such as `COMMIT`',
    attributes: ['db.system.name', 'db.operation.name', 'db.collection.name', 'db.query.text'],
  },
  {
    name: 'deliver <event type>',
    kind: 'client',
    meaning: 'One attempt to deliver an event over HTTP, below the change that wrote the event',
    attributes: [
      'http.request.method',
      'server.address',
      'server.port',
      'http.response.status_code',
      'evenkeel.event.id',
      'evenkeel.consumer.id',
      'evenkeel.order.id',
    ],
  },
  {
    name: 'deliver <event type>',
    kind: 'producer',
    meaning: 'One attempt to deliver an event over RabbitMQ, below the change that wrote the event',
    attributes: [
      'messaging.system',
      'messaging.operation.name',
      'messaging.operation.type',
      'messaging.destination.name',
      'messaging.rabbitmq.destination.routing_key',
      'evenkeel.event.id',
      'evenkeel.consumer.id',
      'evenkeel.order.id',
    ],
  },
];
