import { createServer, type Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import type { SMTPServerOptions } from 'smtp-server';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { smtpMailer } from '../../src/adapters/smtp/mailer.ts';
import type { Destination, EventSender, OutgoingEvent } from '../../src/domain/delivery-ports.ts';
import { type EventType, envelope, eventTypes } from '../../src/domain/events.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { pingEnvelope, pingType } from '../../src/api/consumer-ping.ts';
import { MailServer } from '../support/mail-server.ts';

/** Mails against a real mail server on this machine: what it says, and what that comes to. */
const orderId = '7f6f3c1e-58a5-4c6e-9a7e-0f4b8f6f2a11';
const address = 'ada.lovelace@example.com';
const from = 'Shop <shop@example.com>';

let server: MailServer;
/** Whom the order's mails go to. */
let found: string | undefined;
beforeEach(async () => {
  server = new MailServer(await freePort(), {});
  found = address;
  await server.start();
});
afterEach(() => server.stop());

function mailer(options: Partial<Parameters<typeof smtpMailer>[1]> = {}): EventSender {
  const sender = smtpMailer(
    { find: (id) => Promise.resolve(id === orderId ? found : undefined) },
    { url: server.url, from, timeoutMs: 20_000, ...options },
  );
  onTestFinished(() => sender.close());
  return sender;
}

function event(
  type: EventType = 'evenkeel.order.confirmed.v1',
  data: Record<string, unknown> = { totalMinor: 1_530, currency: 'GBP' },
): OutgoingEvent {
  const eventId = randomUUID();
  const time = new Date('2026-01-02T03:04:05.678Z');
  return { eventId, type, body: JSON.stringify(envelope({ id: eventId, type, time, orderId, sequence: 1, data })) };
}

const to = (own: string | null = null): Destination => ({
  consumerId: 'c1',
  target: { kind: 'mail', from: own },
  secrets: [],
});
const attempt = { signal: new AbortController().signal };
const send = (sender: EventSender = mailer()) => sender.send(event(), to(), attempt);

async function withServer(options: SMTPServerOptions, work: (other: MailServer) => Promise<void>): Promise<void> {
  const other = new MailServer(await freePort(), options);
  await other.start();
  try {
    await work(other);
  } finally {
    await other.stop();
  }
}

/** A header's value, unfolded. */
function header(raw: string, name: string): string | undefined {
  const head = raw.slice(0, raw.indexOf('\r\n\r\n')).replaceAll(/\r\n[ \t]+/g, ' ');
  return new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1];
}

describe('what the mail server says', () => {
  const [user] = address.split('@');
  test.each([
    ['recipient', `450 4.2.2 ${address} is over quota`, 'smtp_450'],
    ['recipient', `451 4.7.1 Greylisted, ${user}: come again`, 'smtp_451'],
    ['recipient', '452 no room for it', 'smtp_452'],
    ['recipient', `550 5.1.1 <${address}>: no such user`, 'smtp_550'],
    ['data', `552 5.2.2 ${user} has no room`, 'smtp_552'],
    ['data', '554 5.6.0 not like that', 'smtp_554'],
    ['recipient', '454 4.7.1 relaying is off for now', 'mail_unavailable'],
    ['recipient', '451 4.3.0 look-up failed', 'mail_unavailable'],
    ['data', '452 4.3.1 the disk is full', 'mail_unavailable'],
    ['data', '421 4.3.2 going down', 'mail_unavailable'],
    ['recipient', '550 5.7.1 relaying denied', 'mail_refused'],
    ['data', '530 log in first', 'mail_refused'],
    ['sender', '550 5.1.8 nobody knows the sender', 'mail_unavailable'],
    ['sender', '451 4.3.0 later', 'mail_unavailable'],
    ['greeting', '554 5.7.1 you are on a list', 'mail_unavailable'],
    ['greeting', '421 4.7.0 too many of you', 'mail_unavailable'],
  ] as const)('to the %s, %s, is %s, and it names nobody', async (place, reply, cause) => {
    server.behavior = { [place]: () => reply };
    const result = await send();
    expect(result).toMatchObject({ outcome: 'failed', cause, status: Number(reply.slice(0, 3)), answer: null });
    expect(JSON.stringify(result)).not.toContain(user);
    expect(server.mails).toEqual([]);
  });

  test('of the password is trouble with the server, and shows neither user nor password', async () => {
    await withServer(
      { disabledCommands: ['STARTTLS'], allowInsecureAuth: true, authOptional: false },
      async (other) => {
        other.behavior = { login: (name) => `535 5.7.8 bad credentials of ${name}` };
        const url = other.url.replace('//', '//shop%40example.com:hunter2@');
        const result = await send(mailer({ url: `${url}?requireTLS=false` }));
        expect(result).toMatchObject({ cause: 'mail_unavailable', status: 535 });
        expect(result.error).toContain('SMTP_URL');
        expect(result.error).not.toMatch(/hunter2|shop@/);
      },
    );
  });
});

describe('no word from the mail server', () => {
  test('because there is none is a refused connection', async () => {
    await server.stop();
    expect(await send()).toMatchObject({ cause: 'connection_refused', status: null });
  });

  test('because none is configured says what to set', async () => {
    const result = await send(mailer({ url: undefined }));
    expect(result).toMatchObject({ cause: 'mail_unavailable' });
    expect(result.error).toContain('SMTP_URL');
  });

  test.each(['greeting', 'recipient', 'data'] as const)(
    'because it hangs at the %s is cut off in time',
    async (place) => {
      server.behavior = { [place]: () => 'hang' };
      expect(await send(mailer({ timeoutMs: 300 }))).toMatchObject({ outcome: 'failed', cause: 'timeout' });
      server.behavior = {};
    },
  );

  test('is cut off when the relay says so', async () => {
    server.behavior = { data: () => 'hang' };
    const stop = new AbortController();
    const sending = mailer().send(event(), to(), { signal: stop.signal });
    stop.abort();
    expect(await sending).toMatchObject({ outcome: 'failed' });
  });

  test('because it hangs up is a connection that broke', async () => {
    const sockets: Socket[] = [];
    const rude = createServer((socket) => {
      sockets.push(socket);
      socket.destroy();
    });
    const port = await freePort();
    await new Promise<void>((resolve) => {
      rude.listen(port, '127.0.0.1', resolve);
    });
    onTestFinished(() => void rude.close());
    expect(await send(mailer({ url: `smtp://127.0.0.1:${port}` }))).toMatchObject({ cause: 'connection_broken' });
    expect(sockets.length).toBeLessThanOrEqual(2);
  });

  test('because the address cannot be looked up is nobody’s refusal', async () => {
    const away = () => Promise.reject(new DomainFailure('store_unavailable', 'no database'));
    const sender = smtpMailer({ find: away }, { url: server.url, from, timeoutMs: 20_000 });
    onTestFinished(() => sender.close());
    expect(await send(sender)).toMatchObject({ cause: 'mail_unavailable' });
    expect(server.connections).toBe(0);
  });
});

describe('TLS', () => {
  const starttls: SMTPServerOptions = { disabledCommands: ['AUTH'] };

  test('is used where the server offers it, and its certificate must be one to trust', async () => {
    await withServer(starttls, async (other) => {
      expect(await send(mailer({ url: other.url }))).toMatchObject({ cause: 'tls_failed' });
      expect(await send(mailer({ url: `${other.url}?tls.rejectUnauthorized=false` }))).toMatchObject({
        outcome: 'delivered',
      });
    });
  });

  test('from the first byte on by smtps', async () => {
    await withServer({ ...starttls, secure: true }, async (other) => {
      expect(await send(mailer({ url: other.url }))).toMatchObject({ cause: 'tls_failed' });
      expect(await send(mailer({ url: `${other.url}?tls.rejectUnauthorized=false` }))).toMatchObject({
        outcome: 'delivered',
      });
    });
  });

  test('is needed before a password is told', async () => {
    const logins: string[] = [];
    await withServer({ disabledCommands: ['STARTTLS'], allowInsecureAuth: true }, async (other) => {
      other.behavior = { login: (name) => void logins.push(name) };
      const url = other.url.replace('//', '//shop:hunter2@');
      expect(await send(mailer({ url }))).toMatchObject({ outcome: 'failed' });
      expect(logins).toEqual([]);
      expect(await send(mailer({ url: `${url}?requireTLS=false` }))).toMatchObject({ outcome: 'delivered' });
      expect(logins).toEqual(['shop']);
    });
  });
});

describe('a mail', () => {
  test('goes to the customer alone, can be told again by its id, and answers no machine', async () => {
    const sent = event();
    const sender = mailer();
    const first = await sender.send(sent, to(), attempt);
    const again = await sender.send(sent, to(), attempt);
    expect([first, again]).toMatchObject([{ outcome: 'delivered' }, { outcome: 'delivered' }]);
    expect(JSON.stringify(first)).not.toContain('ada');
    expect(server.mails).toMatchObject([
      { to: address, from: 'shop@example.com' },
      { to: address, from: 'shop@example.com' },
    ]);
    for (const { raw } of server.mails) {
      expect(header(raw, 'Message-ID')).toBe(`<${sent.eventId}@example.com>`);
      expect(header(raw, 'Auto-Submitted')).toBe('auto-generated');
      expect(header(raw, 'From')).toBe(from);
      expect(header(raw, 'Subject')).toBe('Your order 7f6f3c1e is confirmed');
      expect(raw).toContain('15.30 GBP');
      expect(raw).toContain(orderId);
    }
  });

  test('comes from the consumer’s own sender where it has one', async () => {
    await mailer().send(event(), to('Bücher & mehr <buecher@shop.test>'), attempt);
    expect(server.mails[0]?.from).toBe('buecher@shop.test');
    expect(header(server.mails[0]?.raw ?? '', 'Message-ID')).toMatch(/@shop\.test>$/);
  });

  test('gains no header by a line break in the sender, the type, the data or the id', async () => {
    const bad = 'Shop\r\nX-Evil: 1 <shop@example.com>\r\nX-Evil: 2';
    const type = 'evenkeel.order.x\r\nX-Evil: 3\r\n\r\n' as EventType;
    const sent = event(type, { reason: '\r\n.\r\nMAIL FROM:<eve@example.com>' });
    await mailer().send({ ...sent, eventId: `${sent.eventId}>\r\nX-Evil: 4` }, to(bad), attempt);
    expect(server.mails).toMatchObject([{ to: address }]);
    const raw = server.mails[0]?.raw ?? '';
    expect(raw.slice(0, raw.indexOf('\r\n\r\n'))).not.toMatch(/^X-Evil:/im);
  });

  test.each(['ada@example.com\r\nBcc: eve@example.com', 'ada@example.com, eve@example.com', '<ada@example.com>eve@x'])(
    'goes to nobody beside the customer: %j',
    async (bad) => {
      found = bad;
      await send();
      for (const { raw, to: recipients } of server.mails) {
        expect(recipients).not.toContain(',');
        expect(raw).not.toMatch(/^Bcc:/im);
      }
      expect(server.mails.length).toBeLessThanOrEqual(1);
    },
  );

  test.each(eventTypes)('can be made of %s', async (type) => {
    expect(await mailer().send(event(type, {}), to(), attempt)).toMatchObject({ outcome: 'delivered' });
    expect(header(server.mails[0]?.raw ?? '', 'Subject')).toMatch(/^Your order 7f6f3c1e (is|has news: [a-z ]+|cannot)/);
  });

  test('is not sent where the order has no address, and that is no failure', async () => {
    found = undefined;
    const result = await send();
    expect(result).toMatchObject({ outcome: 'delivered', cause: null });
    expect(result.answer).toContain('no e-mail address');
    expect(server.connections).toBe(0);
  });

  test('is not sent for a ping, which says whether the server lets us in', async () => {
    const ping: OutgoingEvent = {
      eventId: 'p1',
      type: pingType,
      body: JSON.stringify(pingEnvelope('p1', 'c1', new Date(0))),
    };
    const sender = mailer();
    expect(await sender.send(ping, to(), attempt)).toMatchObject({ outcome: 'delivered' });
    expect([server.connections, server.mails]).toEqual([1, []]);
    await server.stop();
    expect(await sender.send(ping, to(), attempt)).toMatchObject({ cause: 'connection_refused' });
  });

  test('costs no attempt where the server closed the idle connection that it would have gone by', async () => {
    const sender = mailer();
    await sender.send(event(), to(), attempt);
    await server.stop();
    await server.start();
    expect(await sender.send(event(), to(), attempt)).toMatchObject({ outcome: 'delivered' });
  });
});
