/**
 * Whether bytes are one whole MessagePack value, nested no deeper than `maxDepth`, with no integer that JavaScript would
 * round. The decoder behind it is recursive, and makes room for as many elements as a header claims; this one counts.
 */
export function isBoundedMsgpack(bytes: Uint8Array, maxDepth: number): boolean {
  const open: number[] = [];
  let left = 1;
  let at = 0;
  for (;;) {
    while (left === 0) {
      const outer = open.pop();
      if (outer === undefined) return at === bytes.length;
      left = outer;
    }
    const header = readHeader(bytes, at);
    if (header === undefined) return false;
    at += header.size;
    if (at > bytes.length || header.items > bytes.length - at) return false;
    left -= 1;
    if (header.isContainer && open.push(left) > maxDepth) return false;
    if (header.isContainer) left = header.items;
  }
}

interface Header {
  /** Bytes up to the next value, including the content except for containers. */
  size: number;
  /** Number of contained values. */
  items: number;
  isContainer: boolean;
}

const value = (size: number): Header => ({ size, items: 0, isContainer: false });
const container = (size: number, items: number): Header => ({ size, items, isContainer: true });

function readHeader(bytes: Uint8Array, at: number): Header | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 0x80 || first >= 0xe0) return value(1);
  if (first < 0x90) return container(1, 2 * (first & 0x0f));
  if (first < 0xa0) return container(1, first & 0x0f);
  if (first < 0xc0) return value(1 + (first & 0x1f));
  return readLongHeader(bytes, at, first);
}

/** Sizes of 0xc0 to 0xdf that need no look at what follows; 0 for the others. */
const fixedSizes = [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18, 0, 0, 0, 0, 0, 0, 0];

function readLongHeader(bytes: Uint8Array, at: number, first: number): Header | undefined {
  const fixed = fixedSizes[first - 0xc0] ?? 0;
  if (fixed > 0) return isRounded(bytes, at, first) ? undefined : value(fixed);
  const width = lengthWidths[first];
  if (width === undefined) return undefined;
  const length = readLength(bytes, at + 1, width);
  if (length === undefined) return undefined;
  if (first >= 0xde) return container(1 + width, 2 * length);
  if (first >= 0xdc) return container(1 + width, length);
  if (first < 0xc7 || first > 0xc9) return value(1 + width + length);
  // The decoder takes 12 bytes for a timestamp, whatever its header says.
  return first === 0xc7 && bytes[at + 2] === 0xff && length !== 12 ? undefined : value(2 + width + length);
}

const uint64 = 0xcf;
const int64 = 0xd3;

function isRounded(bytes: Uint8Array, at: number, first: number): boolean {
  if ((first !== uint64 && first !== int64) || at + 9 > bytes.length) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 8);
  const integer = first === uint64 ? view.getBigUint64(0) : view.getBigInt64(0);
  return BigInt(Number(integer)) !== integer;
}

/** Bytes of the length that follows: binary, extensions, strings, arrays, maps. */
const lengthWidths: Readonly<Record<number, number>> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xc7: 1,
  0xc8: 2,
  0xc9: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
  0xdc: 2,
  0xdd: 4,
  0xde: 2,
  0xdf: 4,
};

function readLength(bytes: Uint8Array, at: number, width: number): number | undefined {
  if (at + width > bytes.length) return undefined;
  let length = 0;
  for (let index = at; index < at + width; index += 1) length = length * 256 + (bytes[index] ?? 0);
  return length;
}
