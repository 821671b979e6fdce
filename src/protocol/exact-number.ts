/** Longer numbers are refused; the decimal form of a double has at most 25 characters. */
const maxNumberLength = 128;

/**
 * Whether JavaScript represents a number as it is written: an integer exactly, a fraction to the digits written. `1e400`,
 * which is not finite, is refused elsewhere and counts as exact.
 */
export function isExactNumber(token: string): boolean {
  const value = Number(token);
  if (value === Infinity || isShort(token, value) || String(value) === token) return true;
  const written = token.length > maxNumberLength ? undefined : decimalOf(token);
  if (written === undefined) return Number.isNaN(value);
  if (written.digits === "") return true;
  if (written.digits.length > 100) return false;
  const held = decimalOf(Number.isInteger(value) ? String(value) : value.toPrecision(written.digits.length));
  return written.digits === held?.digits && written.exponent === held.exponent;
}

/** Fifteen digits are always exact, except near the limits of a double's range. */
const isShort = (token: string, value: number): boolean => token.length <= 15 && value > 1e-290 && value < 1e290;

/** Significant digits without zeros at either end, and the power of ten of the last one. */
interface Decimal {
  digits: string;
  exponent: number;
}

/** Undefined for anything but an unsigned JSON number. */
function decimalOf(token: string): Decimal | undefined {
  const match = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token);
  if (match === null) return undefined;
  const [, whole = "", fraction = "", power = "0"] = match;
  const written = (whole + fraction).replace(/^0+/, "");
  const digits = written.replace(/0+$/, "");
  return { digits, exponent: Number(power) - fraction.length + written.length - digits.length };
}
