/** Integer amounts in minor units (pence, cents) with an ISO 4217 currency. Nothing here ever divides into fractions. */
export interface Money {
  readonly amountMinor: number;
  readonly currency: string;
}

/**
 * Decimal digits of a currency's minor unit (GBP 2, JPY 0, KWD 3), from the runtime's ISO 4217 data.
 * Undefined for a code that names no currency.
 */
export function currencyExponent(currency: string): number | undefined {
  if (!knownCurrencies.has(currency)) return undefined;
  const known = exponents.get(currency);
  if (known !== undefined) return known;
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  const exponent = format.resolvedOptions().maximumFractionDigits ?? 0;
  exponents.set(currency, exponent);
  return exponent;
}

const knownCurrencies: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

/** Making a number format takes some 20 µs, more than all else that is done to a line of a file of orders. */
const exponents = new Map<string, number>();

/**
 * Reads a plain decimal ("2.55") as minor units of `currency`. Undefined if it is no decimal number, has more digits
 * than the currency has, or leaves the range of exact integers: an amount is never rounded in silence.
 */
export function parseMinor(decimal: string, currency: string): number | undefined {
  const exponent = currencyExponent(currency);
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal.trim());
  if (exponent === undefined || !match) return undefined;
  const fraction = (match[3] ?? '').replace(/0+$/, '');
  if (fraction.length > exponent) return undefined;
  const minor = Number(`${match[1]}${match[2]}${fraction.padEnd(exponent, '0')}`);
  return Number.isSafeInteger(minor) ? minor : undefined;
}

/** "12.34 GBP", for people. */
export function formatMoney({ amountMinor, currency }: Money): string {
  const exponent = currencyExponent(currency) ?? 0;
  const digits = Math.abs(amountMinor)
    .toString()
    .padStart(exponent + 1, '0');
  const sign = amountMinor < 0 ? '-' : '';
  const whole = digits.slice(0, digits.length - exponent);
  const fraction = digits.slice(digits.length - exponent);
  return `${sign}${whole}${exponent > 0 ? `.${fraction}` : ''} ${currency}`;
}

/**
 * Splits `totalMinor` in proportion to `weights` so that the shares add up exactly: the largest remainders get the
 * units that are left (Hamilton's method), the earlier share first where remainders are equal.
 * Weights are non-negative integers and at least one is positive; with BigInt inside, no product overflows.
 */
export function allocate(totalMinor: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + BigInt(weight), 0n);
  if (totalMinor < 0 || sum <= 0n || weights.some((weight) => weight < 0)) {
    throw new RangeError(`cannot allocate ${totalMinor} over the weights [${weights.join(', ')}]`);
  }
  const exact = weights.map((weight) => BigInt(totalMinor) * BigInt(weight));
  const shares = exact.map((product) => Number(product / sum));
  const left = totalMinor - shares.reduce((total, share) => total + share, 0);
  const byRemainder = exact
    .map((product, index) => ({ index, remainder: product % sum }))
    .toSorted((a, b) => (a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1));
  for (const { index } of byRemainder.slice(0, left)) shares[index] = (shares[index] ?? 0) + 1;
  return shares;
}
