import { syntheticPrefix } from './domain/objectives.ts';
import type { NewOrder } from './domain/order-ports.ts';
import { type ApiClient, createApiClient } from './commands/api-client.ts';
import type { ApiKey } from './commands/api-key.ts';
import type { CommandIo } from './commands/command.ts';
import { ensureItem, type WantedItem } from './commands/submit/catalog.ts';

const currency = 'GBP';

/** A small gift shop. Prices in pence. */
export const sampleCatalog: readonly WantedItem[] = [
  { sku: 'LANTERN-WHITE', description: 'White metal lantern', priceMinor: 3_39, currency, onHand: 500 },
  { sku: 'MUG-HEART', description: 'Heart mug', priceMinor: 6_95, currency, onHand: 500 },
  { sku: 'BAG-LUNCH-RED', description: 'Lunch bag, red spots', priceMinor: 1_65, currency, onHand: 1_000 },
  { sku: 'CLOCK-ALARM-GREEN', description: 'Alarm clock, green', priceMinor: 3_75, currency, onHand: 200 },
  { sku: 'CHAIR-GARDEN', description: 'Garden chair, oak', priceMinor: 129_00, currency, onHand: 120 },
  { sku: 'TEAPOT-LAST', description: 'Teapot, the last two', priceMinor: 14_50, currency, onHand: 2 },
];

interface SampleOrder {
  /** The idempotency key is `sample:<name>`. */
  readonly name: string;
  /** What becomes of it with the pretend payment gateway and carrier. */
  readonly fate: string;
  readonly order: NewOrder;
}

const home = { name: 'Ada Sample', line1: '1 Example Street', city: 'London', postalCode: 'N1 9GU', country: 'GB' };

function sample(
  name: string,
  fate: string,
  items: Readonly<Record<string, number>>,
  { token = 'tok_visa', postalCode = home.postalCode } = {},
): SampleOrder {
  return {
    name,
    fate,
    order: {
      customerId: `${syntheticPrefix}${name}`,
      currency,
      items: Object.entries(items).map(([sku, quantity]) => ({ sku, quantity })),
      payment: { token },
      shippingAddress: { ...home, postalCode },
    },
  };
}

/** One order for each thing that can become of one. Nobody's real ones: the slow ones among them spend no budget. */
export const sampleOrders: readonly SampleOrder[] = [
  sample('completes', 'is paid, sent and delivered', { 'LANTERN-WHITE': 6, 'MUG-HEART': 2 }),
  sample('declined', 'is rejected: the card is declined', { 'MUG-HEART': 1 }, { token: 'tok_declined' }),
  sample('out-of-stock', 'is rejected: there are not so many teapots', { 'TEAPOT-LAST': 5 }),
  sample('high-value', 'waits for a risk review', { 'CHAIR-GARDEN': 48 }),
  sample(
    'flaky-gateway',
    'completes, after the gateway failed three times',
    { 'BAG-LUNCH-RED': 10 },
    { token: 'tok_flaky_3' },
  ),
  sample(
    'lost-answer',
    'completes, though the answer to its payment is lost: the gateway is asked, and nobody pays twice',
    { 'CLOCK-ALARM-GREEN': 4 },
    { token: 'tok_timeout_after_effect' },
  ),
  sample(
    'undeliverable',
    'waits for a person: the carrier refuses the address',
    { 'MUG-HEART': 4 },
    { postalCode: 'UNDELIVERABLE' },
  ),
  sample(
    'capture-refused',
    'waits for a person: the goods are on their way, and the money is refused',
    { 'LANTERN-WHITE': 12 },
    { token: 'tok_capture_refused' },
  ),
];

/** A start-up waits so long for its own API at most. */
const PATIENCE_MS = 30_000;

/**
 * Puts the sample catalogue and the sample orders through the API at `url`, and returns how many orders are new.
 * Again changes nothing. Throws `ApiUnavailable`, `ApiRefusal`, and `Interrupted` once `io.signal` fires.
 */
export async function submitSamples(url: string, io: Pick<CommandIo, 'signal'>, key?: ApiKey): Promise<number> {
  const client = createApiClient({ url: new URL(url), key, signal: io.signal, patienceMs: PATIENCE_MS });
  try {
    for (const item of sampleCatalog) await ensureItem(client, item);
    let created = 0;
    for (const one of sampleOrders) if (await submit(client, one)) created += 1;
    return created;
  } finally {
    await client.close();
  }
}

async function submit(client: ApiClient, { name, order }: SampleOrder): Promise<boolean> {
  const answer = await client.post('/v1/orders', order, `sample:${name}`);
  return answer.headers['idempotent-replayed'] !== 'true';
}
