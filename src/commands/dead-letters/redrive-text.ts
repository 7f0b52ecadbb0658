import type { RedriveView } from '../../domain/consumer-ports.ts';
import { age, printable, table } from '../format.ts';

const states: Readonly<Record<RedriveView['state'], string>> = {
  canary: 'trying the first few',
  running: 'running',
  paused: 'paused',
  stopped: 'stopped: the rest stays as it was',
  failed: 'failed: none of the first few arrived, and the rest was left alone',
  completed: 'completed: all are sent',
};

/** Sent again, and neither arrived nor dead again so far. */
export function onTheirWay({ sent, delivered, deadAgain }: RedriveView): number {
  return Math.max(0, sent - delivered - deadAgain);
}

/** How a redrive gets on, and what can be done with it while it does. */
export function redriveText(redrive: RedriveView, nowMs: number): string {
  const { id, state, total, sent, delivered, deadAgain, ratePerSecond, actor, reason, createdAt } = redrive;
  const filter = Object.entries(redrive.filter).map(([name, value]) => `${name} ${value}`);
  const rows: [string, string][] = [
    ['Redrive', id],
    ['State', states[state]],
    ['Letters', filter.length === 0 ? 'all' : printable(filter.join(', '))],
    ['Sent', `${sent} of ${total}, ${ratePerSecond} a second at most`],
    ['Of these', `${delivered} arrived, ${deadAgain} dead again, ${onTheirWay(redrive)} on their way`],
    ['Made', `${age(createdAt, nowMs)} ago by ${printable(actor)}${reason === null ? '' : `: ${printable(reason)}`}`],
  ];
  const hint =
    redrive.finishedAt === null
      ? `\n'evenkeel dead-letters redrive ${id} --wait' shows how it gets on; pause, resume or stop behind the id steers it\n`
      : '';
  return table(rows) + hint;
}

/** One line each. */
export function redrivesTable(redrives: readonly RedriveView[], nowMs: number): string {
  const head = ['ID', 'STATE', 'TOTAL', 'SENT', 'ARRIVED', 'DEAD AGAIN', 'MADE', 'BY', 'REASON'];
  const rows = redrives.map((one) => [
    one.id,
    one.state,
    ...[one.total, one.sent, one.delivered, one.deadAgain].map(String),
    `${age(one.createdAt, nowMs)} ago`,
    printable(one.actor).slice(0, 24),
    printable(one.reason ?? ''),
  ]);
  return table([head, ...rows], [2, 3, 4, 5]);
}
