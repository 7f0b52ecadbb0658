/** One line of the file as it stands there; a quoted field may hold line breaks, `line` is where it begins. */
export interface SourceLine {
  readonly line: number;
  readonly content: string;
}

/** Why something cannot be used. `label` is the same for all of its kind, so that they can be counted. */
export interface Reason {
  readonly label: string;
  readonly detail?: string;
}

export type SourceItem =
  | {
      readonly kind: 'order';
      readonly orderNumber: string;
      /** The body of `POST /v1/orders`. */
      readonly body: unknown;
      readonly lines: readonly SourceLine[];
      /** Of these lines, those whose price is not the catalogue's. */
      readonly repricedLines: number;
    }
  /** A line that is no part of any order. */
  | { readonly kind: 'refused_line'; readonly orderNumber: string; readonly line: SourceLine; readonly reason: Reason }
  /** An order that cannot be submitted, with those of its lines that were good. */
  | {
      readonly kind: 'refused_order';
      readonly orderNumber: string;
      readonly lines: readonly SourceLine[];
      readonly reason: Reason;
    };

/** A file that was read once, to know what is in it, and is read a second time to submit it. */
export interface OrderSource {
  /** How many orders there may be to submit. */
  readonly orders: number;
  items(): AsyncIterable<SourceItem>;
}

/** Thrown for a file that cannot be read as what it claims to be. Nothing has been submitted then. */
export class FileProblem extends Error {
  override readonly name = 'FileProblem';
}

/** The API's own limit is 255 characters of printable ASCII for a key. */
export const isOrderNumber = (text: string): boolean => /^[!-~](?:[ -~]{0,248}[!-~])?$/.test(text);

/** What makes a repeat of the same file harmless: the key is the file's own order number. */
export const keyOf = (orderNumber: string): string => `file:${orderNumber}`;

export function describeReason({ label, detail }: Reason): string {
  return detail === undefined ? label : `${label}: ${detail}`;
}
