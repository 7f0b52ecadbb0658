import { type Server, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { audit } from '../support/audit.ts';
import type { Program } from '../support/program.ts';
import { type Stack, newKey, newOrder, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

const stack = useStack(() => ({ env: { EVENKEEL_DRAIN_ANNOUNCE_MS: '1500' } }));

/** Asks each for readiness, and sends requests in turn to those that are ready: no request a second time. */
class Balancer {
  readonly #ports: readonly number[];
  readonly #ready = new Set<number>();
  readonly #stop = new AbortController();
  readonly #server: Server;
  #turn = 0;
  /** Requests that no answer came for. */
  broken = 0;

  constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#server = createServer((request, response) => {
      const ready = [...this.#ready];
      const port = ready[(this.#turn += 1) % ready.length];
      const { method, url: path, headers } = request;
      const passed = httpRequest({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      passed.on('error', () => {
        this.broken += 1;
        response.writeHead(502).end();
      });
      request.pipe(passed);
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    void this.#probe();
    await waitFor('both are ready', () => this.#ready.size === this.#ports.length);
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  isReady(port: number): boolean {
    return this.#ready.has(port);
  }

  close(): void {
    this.#stop.abort();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #probe(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await Promise.all(
        this.#ports.map(async (port) => {
          const probe = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
          await probe?.text();
          if (probe?.status === 200) this.#ready.add(port);
          else this.#ready.delete(port);
        }),
      );
      await pause(200);
    }
  }
}

interface Load {
  readonly statuses: Map<number, number>;
  readonly ids: string[];
  end(): Promise<void>;
}

/** Orders, and waits for their confirmation, one after another in four lanes, until it is told to end. */
function load(url: string, { key }: Stack): Load {
  const statuses = new Map<number, number>();
  const ids: string[] = [];
  const stop = new AbortController();
  const ask = async (path: string, idempotencyKey?: string): Promise<unknown> => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    };
    const order = { method: 'POST', body: JSON.stringify(newOrder()) };
    const { status, json } = await fetch(`${url}${path}`, { ...(idempotencyKey && order), headers }).then(
      async (reply) => ({ status: reply.status, json: await reply.json() }),
      () => ({ status: 0, json: undefined }),
    );
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    return status < 300 ? json : undefined;
  };
  const lane = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const order = await ask('/v1/orders', newKey());
      if (order === undefined) continue;
      const { id } = order as OrderView;
      ids.push(id);
      await ask(`/v1/orders/${id}?wait=confirmed`);
    }
  };
  const lanes = Promise.all([lane(), lane(), lane(), lane()]);
  return {
    statuses,
    ids,
    async end() {
      stop.abort();
      await lanes;
    },
  };
}

test('two APIs and two workers are replaced one by one under load: no request fails, and no order, and none is done twice', async () => {
  const first = Number(new URL(stack().url).port);
  const second = await freePort();
  const apis: readonly { readonly program: Program; readonly port: number }[] = [
    { program: stack().api, port: first },
    { program: stack().program(['api'], { EVENKEEL_HTTP_PORT: String(second) }), port: second },
  ];
  const workers = [stack().worker, stack().program(['worker'])];
  await Promise.all([apis[1]?.program.start('evenkeel api listens'), workers[1]?.start('evenkeel worker runs')]);
  await stack().sandbox.addFault({ dependency: 'payments', kind: 'latency', latencyMs: 100 });

  const balancer = new Balancer([first, second]);
  onTestFinished(() => balancer.close());
  const shop = load(await balancer.open(), stack());
  onTestFinished(() => shop.end());
  const more = async (count: number): Promise<void> => {
    const enough = shop.ids.length + count;
    await waitFor(`${count} more orders`, () => shop.ids.length >= enough);
  };

  await more(10);
  for (const { program, port } of apis) {
    expect(await program.end('SIGTERM')).toBe(0);
    await more(5);
    await program.start('evenkeel api listens');
    await waitFor('it is ready again', () => balancer.isReady(port));
    await more(5);
  }
  for (const worker of workers) {
    expect(await worker.end('SIGTERM')).toBe(0);
    await more(5);
    await worker.start('evenkeel worker runs');
    await more(5);
  }
  await shop.end();

  expect([...shop.statuses.keys()].toSorted((a, b) => a - b)).toEqual([200, 202]);
  expect(balancer.broken).toBe(0);
  const orders = await stack().ended(shop.ids, 150_000);
  expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(await audit(stack(), orders)).toEqual([]);
  // Nothing that a worker had begun was left for its time-out to find.
  expect(await stack().sql(`select key from effects where requested_at is not null and outcome is null`)).toEqual([]);
  const counts = [...shop.statuses].map(([status, count]) => `${count} × ${status}`).join(', ');
  console.log(`answers: ${counts}; orders completed: ${orders.length}`);
});
