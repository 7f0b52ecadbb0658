/**
 * A consumer of Evenkeel's events, as small as one that loses nothing can be: it verifies who sent an event, keeps each
 * once, tells the late ones, and answers only after its own commit.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { Webhook } from 'standardwebhooks';

const { PORT = '9000', STORE = 'events.db', WEBHOOK_SECRET } = process.env;
if (!WEBHOOK_SECRET) throw new Error('set WEBHOOK_SECRET to the secret that Evenkeel showed when it made the consumer');
const webhook = new Webhook(WEBHOOK_SECRET);

const store = new DatabaseSync(STORE);
store.exec(`
  pragma journal_mode = wal; pragma synchronous = full;
  create table if not exists receipts (
    eventId text primary key, subject text not null, sequence integer not null, type text not null,
    receivedAt text not null, late integer not null
  );
  create table if not exists orders (id text primary key, sequence integer not null, status text not null);
`);
const keep = store.prepare('insert into receipts values (?, ?, ?, ?, ?, ?) on conflict do nothing');
const known = store.prepare('select sequence from orders where id = ?');
const follow = store.prepare(
  'insert into orders values (?, ?, ?) on conflict (id) do update set sequence = ?2, status = ?3',
);
const receipts = store.prepare('select * from receipts order by rowid');

interface OrderEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly sequence: string;
}

/**
 * One transaction: a repeat changes nothing, and what comes after its successors is kept but not followed; nor is what a
 * person corrected, with the same number, after you had taken the original.
 */
function take({ id, type, subject, sequence: text }: OrderEvent): void {
  const sequence = Number(text);
  store.exec('begin immediate');
  try {
    const late = Number(known.get(subject)?.['sequence'] ?? 0) >= sequence;
    const { changes } = keep.run(id, subject, sequence, type, new Date().toISOString(), late ? 1 : 0);
    if (changes > 0 && !late) follow.run(subject, sequence, type);
    store.exec('commit');
  } catch (error) {
    store.exec('rollback');
    throw error;
  }
}

const server = createServer((request, response) => {
  const answer = (status: number, text = ''): void => void response.writeHead(status).end(text);
  if (request.method === 'GET' && request.url === '/receipts') {
    return answer(200, [...receipts.iterate()].map((receipt) => `${JSON.stringify(receipt)}\n`).join(''));
  }
  read(request)
    .then((body) => {
      let event: unknown;
      try {
        event = webhook.verify(body, request.headers as Record<string, string>);
      } catch {
        return answer(401, 'the signature does not verify, or is more than five minutes old');
      }
      const { id, type } = event as OrderEvent;
      if (!type.startsWith('evenkeel.ping.')) take(event as OrderEvent);
      // This attempt's W3C trace context: what you do about an event may go on in the order's trace.
      const { traceparent } = request.headers;
      console.log(`${type} ${id}${typeof traceparent === 'string' ? ` trace ${traceparent.split('-')[1]}` : ''}`);
      return answer(204);
    })
    .catch((error: unknown) => {
      console.error(error);
      answer(500);
    });
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${PORT}`));
process.once('SIGTERM', () => server.close(() => store.close()));

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
