import { expect, test } from "vitest";
import { fromWire, toWire } from "../../src/runtime/binary-json.ts";

test("binary values come back from JSON", () => {
  const value = [Buffer.from([0, 255]), { part: new Uint8Array([1]) }, "text", null];

  expect(toWire(value)).toEqual([{ $binary: "AP8=" }, { part: { $binary: "AQ==" } }, "text", null]);
  expect(fromWire(toWire(value))).toEqual([Buffer.from([0, 255]), { part: Buffer.from([1]) }, "text", null]);
});

test("base64 may be URL-safe and without padding; what is not base64 stays as it is", () => {
  expect(fromWire([{ $binary: "-_8" }, { $binary: "" }])).toEqual([Buffer.from([251, 255]), Buffer.alloc(0)]);
  const others = [{ $binary: "no base64!" }, { $binary: "AQ==", more: 1 }, { $binary: 1 }];
  expect(fromWire(others)).toEqual(others);
});
