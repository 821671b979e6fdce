import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { addressGroup } from "../../src/runtime/address-group.ts";
import { createClientAddress } from "../../src/runtime/client-address.ts";

it.each([
  ["198.51.100.1:4711", "198.51.100.1"],
  ["[2001:db8::7]:4711", "2001:db8::7"],
  ["[2001:db8::7]", "2001:db8::7"],
  ["[2001:db8::7", "127.0.0.1"],
  ["::ffff:198.51.100.1", "198.51.100.1"],
  ["::FFFF:c633:6401", "198.51.100.1"],
  ["0:0:0:0:0:ffff:c633:6401", "198.51.100.1"],
  ["2001:0DB8:0:0:0:0:0:7", "2001:db8::7"],
])("what a proxy reports, with a port or in another spelling, is one address: %s", (forwardedFor, expected) => {
  const request = { socket: { remoteAddress: "127.0.0.1" }, headers: { "x-forwarded-for": forwardedFor } };

  expect(createClientAddress(["127.0.0.1"])(request as unknown as IncomingMessage)).toBe(expected);
});

describe("what limits count addresses by", () => {
  it.each([
    ["198.51.100.1", "198.51.100.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::5", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["64:ff9b::192.0.2.33", "64:ff9b:0:0::/64"],
    ["nonsense", "nonsense"],
    ["", ""],
  ])("%s: %s", (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });
});
