import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { readConfig } from '../config.ts';
import { startSandboxServer } from '../sandbox/server.ts';
import { type CommandIo, UsageError } from './command.ts';

const help = `usage: evenkeel sandbox --data DIR [options]

A pretend payment gateway (/payments) and carrier (/carrier) with a durable ledger (GET /ledger, GET /ledger/summary)
and faults by script (POST /faults).

  --data DIR              where the ledger lives; one sandbox at a time per folder
  --host ADDRESS          address to listen on (127.0.0.1)
  --port PORT             port to listen on (0: any free one)
  --callback-url URL      where the carrier reports dispatched and delivered shipments; it keeps its messages without
  --callback-secret S     secret to sign them with, at least 16 characters ($CARRIER_CALLBACK_SECRET)
  --dispatch-after MS     milliseconds from booking to dispatch; -1: only by hand (1000)
  --deliver-after MS      milliseconds from dispatch to delivery; -1: only by hand (1000)
`;

const LONGEST_DELAY_MS = 2_147_483_647;

/** Runs the pretend world until the signal fires, or its disk fails it. Prints one line with its URL when ready. */
export async function run(args: readonly string[], { stdout, stderr, env, signal }: CommandIo): Promise<number> {
  const words = parse(args);
  if (words.help === true) {
    stdout.write(help);
    return 0;
  }
  const callbackSecret = words['callback-secret'] ?? readConfig(env).CARRIER_CALLBACK_SECRET ?? '';
  const callbackUrl = words['callback-url'];
  if (callbackUrl !== undefined && !URL.canParse(callbackUrl)) {
    throw new UsageError(`--callback-url: '${callbackUrl}' is no URL`);
  }
  if (callbackUrl !== undefined && callbackSecret.length < 16) {
    throw new UsageError('--callback-url needs a --callback-secret of at least 16 characters');
  }
  if (words.data === undefined || words.data === '') throw new UsageError('--data is missing: name a folder');
  const sandbox = await startSandboxServer({
    host: words.host ?? '127.0.0.1',
    port: integer('port', words.port ?? '0', 0, 65_535),
    dataDir: words.data,
    callbackUrl,
    callbackSecret,
    dispatchAfterMs: integer('dispatch-after', words['dispatch-after'] ?? '1000', -1, LONGEST_DELAY_MS),
    deliverAfterMs: integer('deliver-after', words['deliver-after'] ?? '1000', -1, LONGEST_DELAY_MS),
  });
  stdout.write(`sandbox listening on ${sandbox.url}\n`);
  try {
    if (!signal.aborted) await Promise.race([once(signal, 'abort'), sandbox.failed]);
    return 0;
  } catch (error) {
    stderr.write(`evenkeel sandbox: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await sandbox.stop();
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: joinNegatives(args),
      options: {
        help: { type: 'boolean', short: 'h' },
        data: { type: 'string' },
        host: { type: 'string' },
        port: { type: 'string' },
        'callback-url': { type: 'string' },
        'callback-secret': { type: 'string' },
        'dispatch-after': { type: 'string' },
        'deliver-after': { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** `--dispatch-after -1` as `--dispatch-after=-1`: parseArgs takes no value that begins with a dash. */
function joinNegatives(args: readonly string[]): string[] {
  return args.reduce<string[]>((joined, word) => {
    const last = joined.at(-1);
    if (!/^-\d+$/.test(word) || last?.startsWith('--') !== true || last.includes('=')) return [...joined, word];
    return [...joined.slice(0, -1), `${last}=${word}`];
  }, []);
}

function integer(name: string, word: string, min: number, max: number): number {
  const value = Number(word);
  if (word.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError(`--${name}: '${word}' is no whole number from ${min} to ${max}`);
}
