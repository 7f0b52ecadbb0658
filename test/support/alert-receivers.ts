/** Whom Alertmanager tells: webhooks and a mail server, that keep what they are told. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const notification = z.object({
  receiver: z.string(),
  status: z.enum(['firing', 'resolved']),
  groupLabels: z.record(z.string(), z.string()),
  alerts: z.array(
    z.object({
      status: z.enum(['firing', 'resolved']),
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
    }),
  ),
});
/** What a webhook gets: Alertmanager's own format, version 4. */
export type Notification = z.output<typeof notification>;

export interface Mail {
  readonly to: string;
  /** Headers, an empty line, the body. */
  readonly text: string;
}

export interface AlertReceivers {
  /** Of webhooks, by the receiver's name. */
  readonly urls: Readonly<Record<'page' | 'ticket' | 'deadman', string>>;
  /** host:port */
  readonly smtp: string;
  readonly notifications: readonly Notification[];
  readonly mails: readonly Mail[];
  close(): Promise<void>;
}

export async function startAlertReceivers(): Promise<AlertReceivers> {
  const notifications: Notification[] = [];
  const mails: Mail[] = [];
  const webhooks = createHttpServer((request, response) => {
    const take = async (): Promise<void> => {
      notifications.push(notification.parse(await json(request)));
      response.writeHead(200).end();
    };
    void take();
  });
  const mailServer = createServer((socket) => receiveMail(socket, mails));
  const [http, smtp] = [await listen(webhooks), await listen(mailServer)];
  const url = (name: string): string => `http://${http}/${name}`;
  return {
    urls: { page: url('page'), ticket: url('ticket'), deadman: url('deadman') },
    smtp,
    notifications,
    mails,
    async close() {
      webhooks.closeAllConnections();
      await Promise.all([webhooks, mailServer].map(async (server) => once(server.close(), 'close')));
    },
  };
}

async function listen(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** As much of SMTP (RFC 5321) as it takes to be handed a mail. */
function receiveMail(socket: Socket, mails: Mail[]): void {
  const say = (line: string): void => void socket.write(`${line}\r\n`);
  let to = '';
  let data: string[] | undefined;
  socket.on('error', () => undefined);
  say('220 mail.test');
  createInterface({ input: socket }).on('line', (line) => {
    if (data !== undefined) {
      if (line !== '.') return void data.push(line);
      mails.push({ to, text: data.join('\n') });
      data = undefined;
      return say('250 taken');
    }
    const [verb = ''] = line.toUpperCase().split(' ');
    if (verb === 'DATA') {
      data = [];
      return say('354 go on');
    }
    if (verb === 'RCPT') to = line.replace(/^.*<(.*)>.*$/, '$1');
    say(verb === 'QUIT' ? '221 bye' : '250 yes');
    if (verb === 'QUIT') socket.end();
  });
}
