import type { CatalogCounts } from './catalog.ts';
import { duration } from './progress.ts';
import type { Group, Tally } from './tally.ts';
import type { WaitResult } from './wait.ts';

/** What `--json` prints; stable. */
export interface Summary {
  readonly file: string;
  /** Why it ended before the file did; null if it did not. */
  readonly stopped: string | null;
  readonly orders: {
    readonly accepted: number;
    readonly alreadyThere: number;
    readonly refusedByApi: number;
    readonly refusedHere: number;
    readonly notSubmitted: number;
  };
  readonly lines: { readonly submitted: number; readonly refused: number; readonly repriced: number };
  readonly refusals: {
    readonly lines: readonly Group[];
    readonly orders: readonly Group[];
    readonly api: readonly Group[];
  };
  readonly catalog: CatalogCounts | null;
  readonly report: string;
  readonly submitSeconds: number;
  readonly acceptedPerSecond: number;
  readonly totalSeconds: number;
  readonly wait: WaitResult | null;
}

interface Facts {
  readonly file: string;
  readonly report: string;
  readonly tally: Tally;
  /** Orders that there were to submit. */
  readonly usableOrders: number;
  readonly stopped: string | undefined;
  readonly catalog: CatalogCounts | undefined;
  readonly submitMs: number;
  readonly totalMs: number;
  readonly wait: WaitResult | undefined;
}

export function summarize(facts: Facts): Summary {
  const { tally, submitMs, totalMs } = facts;
  const handled = tally.done + tally.refusedOrders;
  return {
    file: facts.file,
    stopped: facts.stopped ?? facts.wait?.stopped ?? null,
    orders: {
      accepted: tally.accepted,
      alreadyThere: tally.alreadyThere,
      refusedByApi: tally.refusedByApi,
      refusedHere: tally.refusedOrders,
      notSubmitted: facts.stopped === undefined ? 0 : Math.max(0, facts.usableOrders - handled),
    },
    lines: { submitted: tally.submittedLines, refused: tally.refusedLines, repriced: tally.repricedLines },
    refusals: {
      lines: tally.lineReasons.list(),
      orders: tally.orderReasons.list(),
      api: tally.apiReasons.list(),
    },
    catalog: facts.catalog ?? null,
    report: facts.report,
    submitSeconds: submitMs / 1000,
    acceptedPerSecond: submitMs > 0 ? (tally.accepted * 1000) / submitMs : 0,
    totalSeconds: totalMs / 1000,
    wait: facts.wait ?? null,
  };
}

/** Whether every usable order was accepted, and, where that was asked for, seen to its end. */
export function succeeded(summary: Summary): boolean {
  return summary.stopped === null && summary.orders.refusedByApi === 0;
}

export function summaryText(summary: Summary): string {
  const { orders, lines, refusals, catalog, wait } = summary;
  const rate =
    summary.acceptedPerSecond >= 10 ? summary.acceptedPerSecond.toFixed(0) : summary.acceptedPerSecond.toFixed(1);
  return [
    ...(catalog
      ? [
          `catalogue: ${catalog.itemsCreated} articles added, ${catalog.itemsFound} there before; stock added for ${catalog.stockCreated}`,
        ]
      : []),
    `orders accepted: ${orders.accepted} new, ${orders.alreadyThere} already there, in ${duration(summary.submitSeconds * 1000)} (${rate} new/s)`,
    ...(orders.refusedByApi > 0 ? [`orders refused by the API: ${orders.refusedByApi}`, ...groups(refusals.api)] : []),
    ...(orders.refusedHere > 0
      ? [`orders that cannot be submitted: ${orders.refusedHere}`, ...groups(refusals.orders)]
      : []),
    `lines: ${lines.submitted} in accepted orders, ${lines.refused} not`,
    ...groups(refusals.lines),
    ...(lines.repriced > 0
      ? [`lines whose price in the file is not the catalogue's, which is what counts: ${lines.repriced}`]
      : []),
    ...(lines.refused > 0 ? [`each line that is in no accepted order, with its reason: ${summary.report}`] : []),
    ...(wait ? waitLines(wait, summary.totalSeconds) : []),
    ...(summary.stopped === null ? [] : stoppedLines(summary)),
    '',
  ].join('\n');
}

function groups(list: readonly Group[]): string[] {
  return list.map(({ reason, count, example }) => `  ${String(count).padStart(6)}  ${reason} (${example})`);
}

function waitLines(wait: WaitResult, totalSeconds: number): string[] {
  const { confirmation, finishedPerSecond, onTheirWay } = wait;
  return [
    'what became of them:',
    ...counts(wait.byStatus, (status) => status),
    ...(Object.keys(wait.waitingForPerson).length > 0 ? ['of these, waiting for a person:'] : []),
    ...counts(wait.waitingForPerson, (step) => `at ${step}`),
    ...(onTheirWay > 0 ? [`still on their way: ${onTheirWay}`] : []),
    ...(confirmation
      ? [
          `from accepted to confirmed: p50 ${confirmation.p50Ms} ms, p99 ${confirmation.p99Ms} ms, of ${confirmation.orders} new orders`,
        ]
      : []),
    ...(finishedPerSecond === null ? [] : [`new orders brought to their end: ${finishedPerSecond.toFixed(1)}/s`]),
    `all in all: ${duration(totalSeconds * 1000)}`,
  ];
}

function counts(byName: Readonly<Record<string, number>>, label: (name: string) => string): string[] {
  return Object.entries(byName)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `  ${String(count).padStart(6)}  ${label(name)}`);
}

function stoppedLines({ stopped, orders }: Summary): string[] {
  const submitted = orders.accepted + orders.alreadyThere;
  const left = orders.notSubmitted > 0 ? `, ${orders.notSubmitted} not yet` : '';
  return [
    `stopped: ${stopped}`,
    `${submitted} orders are submitted${left}. Run it again to go on: nothing is submitted twice.`,
  ];
}
