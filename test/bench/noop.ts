/**
 * `node test/bench/noop.ts [host:port] [count] [concurrency]`: the rate at which this Temporal server and one worker
 * run workflows that do nothing, with the settings of our own worker. Run it beside `evenkeel submit` on the same server.
 */
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';

const [address = '127.0.0.1:7233', count = '1000', concurrency = '16'] = process.argv.slice(2);
const taskQueue = `noop-${process.pid}`;
const connection = await NativeConnection.connect({ address });
const client = new Client({ connection });
const worker = await Worker.create({
  connection,
  taskQueue,
  workflowsPath: fileURLToPath(new URL('noop-workflow.ts', import.meta.url)),
  workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 5 },
});

const began = performance.now();
await worker.runUntil(async () => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < Number(count)) {
      const workflowId = `${taskQueue}-${next}`;
      next += 1;
      await client.workflow.execute('noop', { taskQueue, workflowId, requestEagerStart: true });
    }
  };
  await Promise.all(Array.from({ length: Number(concurrency) }, lane));
});
const seconds = (performance.now() - began) / 1000;
console.log(`${count} empty workflows in ${seconds.toFixed(1)} s: ${(Number(count) / seconds).toFixed(1)}/s`);
await connection.close();
