import { once } from 'node:events';
import type { Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface Mail {
  readonly from: string;
  readonly to: string;
  /** As it came, header and body. */
  readonly raw: string;
}

/** What the server says: an SMTP reply, such as `450 4.2.2 full`. Without one it says yes, and after `hang` nothing. */
type Say = (address: string) => string | undefined;

export interface MailBehavior {
  readonly greeting?: Say;
  readonly login?: Say;
  readonly sender?: Say;
  readonly recipient?: Say;
  readonly data?: Say;
}

export class MailServer {
  readonly url: string;
  readonly mails: Mail[] = [];
  /** May be changed at any time. */
  behavior: MailBehavior = {};
  /** All that were opened so far. */
  connections = 0;
  readonly #port: number;
  readonly #options: SMTPServerOptions;
  readonly #sockets = new Set<Socket>();
  #server: SMTPServer | undefined;

  constructor(port: number, options: SMTPServerOptions) {
    this.#port = port;
    this.#options = options;
    this.url = `${options.secure === true ? 'smtps' : 'smtp'}://127.0.0.1:${port}`;
  }

  async start(): Promise<void> {
    const replying = (say: Say | undefined, address: string, done: (error?: Error) => void): void => {
      const reply = say?.(address);
      if (reply === undefined) return done();
      if (reply === 'hang') return;
      done(Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) }));
    };
    const server = new SMTPServer({
      // Its own certificate, which nobody trusts, where TLS is asked for.
      disabledCommands: ['AUTH', 'STARTTLS'],
      authOptional: true,
      logger: false,
      // Otherwise it asks who 127.0.0.1 is.
      disableReverseLookup: true,
      ...this.#options,
      onConnect: (_session, done) => {
        this.connections += 1;
        replying(this.behavior.greeting, '', done);
      },
      onAuth: ({ username = '' }, _session, done) =>
        replying(this.behavior.login, username, (error) => done(error, error ? undefined : { user: username })),
      onMailFrom: ({ address }, _session, done) => replying(this.behavior.sender, address, done),
      onRcptTo: ({ address }, _session, done) => replying(this.behavior.recipient, address, done),
      onData: (stream, { envelope }, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const to = envelope.rcptTo.map(({ address }) => address).join(',');
          const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
          replying(this.behavior.data, to, (error) => {
            if (error === undefined) this.mails.push({ from, to, raw: Buffer.concat(chunks).toString() });
            done(error);
          });
        });
      },
    });
    server.on('error', () => undefined);
    server.server.on('connection', (socket: Socket) => this.#sockets.add(socket));
    server.listen(this.#port, '127.0.0.1');
    await once(server.server, 'listening');
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await closed;
  }
}
