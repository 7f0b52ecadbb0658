import { type CommandIo, type Run, UsageError } from './commands/command.ts';

interface Command {
  readonly summary: string;
  readonly load: () => Promise<{ readonly run: Run }>;
}

/** `evenkeel help` prints this table; each command prints its own `--help`. */
const commands: Readonly<Record<string, Command>> = {
  start: { summary: 'run everything on this machine', load: () => import('./commands/start.ts') },
  api: { summary: 'run the API alone', load: () => import('./commands/api.ts') },
  worker: { summary: 'run a worker alone', load: () => import('./commands/worker.ts') },
  sandbox: { summary: 'run the pretend payment gateway and carrier', load: () => import('./commands/sandbox.ts') },
  migrate: {
    summary: 'bring the database schema and the search attributes up to date',
    load: () => import('./commands/migrate.ts'),
  },
  submit: { summary: 'submit orders from a file', load: () => import('./commands/submit.ts') },
  orders: { summary: 'list orders', load: () => import('./commands/orders.ts') },
  order: { summary: 'show one order', load: () => import('./commands/order.ts') },
  consumers: { summary: 'show and change who gets events', load: () => import('./commands/consumers.ts') },
  'dead-letters': {
    summary: 'look at events that could not be delivered, and send them again',
    load: () => import('./commands/dead-letters.ts'),
  },
  'replay-orders': {
    summary: 'send orders among the dead letters of RabbitMQ on their way again',
    load: () => import('./commands/replay-orders.ts'),
  },
  keys: { summary: 'make, list and revoke API keys', load: () => import('./commands/keys.ts') },
  slo: { summary: 'objectives, their budgets, and the rules made from them', load: () => import('./commands/slo.ts') },
  audit: {
    summary: 'compare the records with each other and name what does not add up',
    load: () => import('./commands/audit.ts'),
  },
  bundle: { summary: 'build the workflow bundle ahead of time', load: () => import('./commands/bundle.ts') },
  help: { summary: "print this, or 'help config' for all settings", load: () => import('./commands/help.ts') },
};

export function usage(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(13)} ${summary}`);
  return `evenkeel: order processing that always finishes\n\nusage: evenkeel <command> [--help]\n\n${lines.join('\n')}\n`;
}

/** Runs `evenkeel <words>` and returns the exit code. */
export async function main(words: readonly string[], io: CommandIo): Promise<number> {
  const [name = 'help', ...args] = words;
  const command = commands[name === '--help' || name === '-h' ? 'help' : name];
  if (!command) {
    io.stderr.write(`evenkeel: there is no command '${name}'\n\n${usage()}`);
    return 2;
  }
  try {
    return await (await command.load()).run(args, io);
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`evenkeel ${name}: ${error.message}\nSee 'evenkeel ${name} --help'.\n`);
      return 2;
    }
    io.stderr.write(`evenkeel ${name}: ${describe(error)}\n`);
    return 1;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // To whoever asks the API the reason is nothing; to whoever runs it, everything.
  const { cause } = error;
  if (error.name === 'DomainFailure' && cause instanceof Error) return `${error.message} (${cause.message})`;
  // An error with a known name says what to do; anything else is a bug, and its stack is the best that can be said.
  return error.name === 'Error' || error.name === 'TypeError' ? (error.stack ?? error.message) : error.message;
}
