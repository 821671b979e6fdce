/** Longest number that is looked at; the decimal form of a double that people write has at most 25 characters. */
const maxNumberLength = 128;

/**
 * Whether JavaScript holds the number that is written: a whole number digit by digit, a fraction to as many digits as it
 * was written with. `1e400`, which is not finite, has a refusal of its own and counts as held.
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

/** Fifteen digits are always held, unless an exponent takes them to the edges of a double's range. */
const isShort = (token: string, value: number): boolean => token.length <= 15 && value > 1e-290 && value < 1e290;

/** Significant digits without zeros at either end, and the power of ten of the last one. */
interface Decimal {
  digits: string;
  exponent: number;
}

/** Undefined for what is no number of JSON without its sign. */
function decimalOf(token: string): Decimal | undefined {
  const match = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token);
  if (match === null) return undefined;
  const [, whole = "", fraction = "", power = "0"] = match;
  const written = (whole + fraction).replace(/^0+/, "");
  const digits = written.replace(/0+$/, "");
  return { digits, exponent: Number(power) - fraction.length + written.length - digits.length };
}
