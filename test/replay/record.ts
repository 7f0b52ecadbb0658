/**
 * Records a history of every shape: `node test/replay/record.ts [SHAPE...]`. A history that orders in the field may
 * still have is never recorded anew because the story changed: the change needs `patched()`, and a shape of its own.
 */
import { writeFile } from 'node:fs/promises';
import { findTestServer } from '../../src/embedded/temporal-test-server.ts';
import { Shop } from '../support/workflow.ts';
import { shapes } from './shapes.ts';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(shapes, name));
if (unknown.length > 0) {
  console.error(`there is no shape ${unknown.join(', ')}; there are ${Object.keys(shapes).join(', ')}`);
  process.exit(2);
}

// Waits between attempts are jittered down to their minimum.
Math.random = () => 0;
const path = await findTestServer({
  env: process.env,
  report: (line) => console.log(line),
  signal: AbortSignal.timeout(600_000),
});

for (const [name, play] of Object.entries(shapes)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  // A server each: some shapes leave theirs unable to skip time.
  const shop = await Shop.open(path);
  const story = await play(shop);
  const { status } = await story.end();
  const history = plain(await story.handle.fetchHistory());
  const file = new URL(`histories/${name}.json`, import.meta.url);
  await writeFile(file, `${JSON.stringify(history, undefined, 1)}\n`);
  console.log(`${name}: ${status}`);
  await shop.close();
}

/**
 * A history as JSON that the SDK replays as it is: bytes in base64, 64-bit integers as numbers. (The SDK's own
 * conversion needs all its packages to share one protobufjs, which npm does not promise.) Leaves out what tells of the
 * machine that it was recorded on, and nothing that a replay reads.
 */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('toNumber' in value && typeof value.toNumber === 'function') return value.toNumber();
  const told = Object.entries(value).filter(([, part]) => part !== null && part !== undefined);
  return Object.fromEntries(
    told.map(([key, part]) => [key, key === 'stackTrace' ? '' : key === 'identity' ? 'recorder' : plain(part)]),
  );
}
