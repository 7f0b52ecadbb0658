import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Broker, type BrokerTls, connectBroker } from '../../src/adapters/amqp/broker.ts';
import { type CertificateFiles, type TestAuthority, testAuthority } from '../support/certificates.ts';
import { type TestBroker, startBroker } from '../support/rabbitmq.ts';

let ours: TestAuthority;
let another: TestAuthority;
let client: CertificateFiles;
let rabbit: TestBroker;

beforeAll(async () => {
  ours = testAuthority('Ours');
  another = testAuthority('Another');
  client = ours.issue('client');
  rabbit = await startBroker({ ca: ours.ca, ...ours.issue('server') });
});

afterAll(async () => {
  await rabbit?.stop();
  for (const authority of [ours, another]) authority?.remove();
});

const right = (): BrokerTls => ({ caFile: ours.ca, certFile: client.cert, keyFile: client.key });

function over(tls: BrokerTls): Broker {
  const broker = connectBroker(`amqps://guest:guest@${rabbit.tlsAddress}`, { tls });
  onTestFinished(() => broker.close());
  return broker;
}

test('a message goes over mutual TLS, and the end of the broker’s certificate is known', async () => {
  const broker = over(right());
  const channel = await broker.channel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.sendToQueue(queue, Buffer.from('hello'));
  await channel.waitForConfirms();
  expect(String(((await channel.get(queue, { noAck: true })) || undefined)?.content)).toBe('hello');
  const days = ((broker.certificateExpiresAt()?.getTime() ?? 0) - Date.now()) / 86_400_000;
  expect(Math.round(days)).toBe(2);
  // Another connection to the same speaks as this one does.
  await broker.apart('orders').check();
});

test.each([
  ['by an authority that is not ours', () => ({ ...right(), caFile: another.ca }), /unable to verify|self.signed/],
  ['by one that nobody named', () => ({ certFile: client.cert, keyFile: client.key }), /unable to verify|self.signed/],
  // Refused after the handshake, with an alert or by closing.
  [
    'that asks for ours, where we have none',
    () => ({ caFile: ours.ca }),
    /certificate required|closed|ECONNRESET|EPIPE/,
  ],
] as const)('there is no connection to a broker with a certificate %s', async (_, tls, why) => {
  await expect(over(tls()).check()).rejects.toThrow(why);
});

test('a file that cannot be read stops the start, and is named', () => {
  expect(() => over({ ...right(), caFile: '/nowhere.pem' })).toThrow(/\/nowhere\.pem cannot be read \(ENOENT\)/);
  expect(() => over({ certFile: client.cert })).toThrow(/needs its file and that of its key/);
});
