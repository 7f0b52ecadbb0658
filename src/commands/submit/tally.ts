import type { ApiRefusal } from '../api-client.ts';
import type { Reason } from './source.ts';

/** More kinds of reason than this are counted together: nobody reads a longer list, and the report has them all. */
const MAX_GROUPS = 50;

export interface Group {
  readonly reason: string;
  count: number;
  /** One of them, in full. */
  readonly example: string;
}

/** Counts by kind, the most frequent first, with one example each. */
export class Groups {
  readonly #groups = new Map<string, Group>();

  add(reason: string, example: string): void {
    const full = this.#groups.size >= MAX_GROUPS && !this.#groups.has(reason);
    const name = full ? 'other reasons' : reason;
    const group = this.#groups.get(name);
    if (group) group.count += 1;
    else this.#groups.set(name, { reason: name, count: 1, example });
  }

  list(): readonly Group[] {
    return [...this.#groups.values()].toSorted((a, b) => b.count - a.count);
  }
}

/** What became of the file so far. */
export class Tally {
  accepted = 0;
  alreadyThere = 0;
  refusedByApi = 0;
  refusedOrders = 0;
  submittedLines = 0;
  refusedLines = 0;
  repricedLines = 0;
  readonly lineReasons = new Groups();
  readonly orderReasons = new Groups();
  readonly apiReasons = new Groups();
  /** Of the accepted ones, to look at what became of them. */
  readonly newIds: string[] = [];
  readonly earlierIds: string[] = [];

  get done(): number {
    return this.accepted + this.alreadyThere + this.refusedByApi;
  }

  refuseLine(line: number, { label, detail }: Reason): void {
    this.refusedLines += 1;
    this.lineReasons.add(label, detail === undefined ? `line ${line}` : `line ${line}: ${detail}`);
  }

  refuseOrder(orderNumber: string, { label, detail }: Reason): void {
    this.refusedOrders += 1;
    this.orderReasons.add(label, detail === undefined ? `order ${orderNumber}` : `order ${orderNumber}: ${detail}`);
  }

  refuseByApi(orderNumber: string, refusal: ApiRefusal): void {
    this.refusedByApi += 1;
    this.apiReasons.add(
      `${refusal.status} ${refusal.code}: ${pattern(refusal.message)}`,
      `order ${orderNumber}: ${refusal.message}`,
    );
  }

  accept(id: string, replayed: boolean): void {
    if (replayed) this.alreadyThere += 1;
    else this.accepted += 1;
    (replayed ? this.earlierIds : this.newIds).push(id);
  }
}

/** A detail without its values, so that the same complaint about another value counts as the same. */
function pattern(detail: string): string {
  return detail
    .replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, '…')
    .replace(/\d+/g, '#')
    .slice(0, 200);
}
