import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { createClientAddress } from "../../src/runtime/client-address.ts";
import { readableLog } from "../support/edge.ts";

const from = (remoteAddress: string, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: { "x-forwarded-for": forwarded } }) as unknown as IncomingMessage;

describe("the client's address", () => {
  it("is the peer's where no proxy is trusted", () => {
    const addressOf = createClientAddress([]);

    expect(addressOf(from("203.0.113.9", "198.51.100.1"))).toBe("203.0.113.9");
  });

  it("is what the nearest untrusted hop is called by a trusted one", () => {
    const addressOf = createClientAddress(["10.0.0.0/8", "fd00::/8"]);

    expect(addressOf(from("10.0.0.2", "198.51.100.1"))).toBe("198.51.100.1");
    expect(addressOf(from("10.0.0.2", "6.6.6.6, 198.51.100.1, 10.0.0.3"))).toBe("198.51.100.1");
    expect(addressOf(from("fd00::2", "2001:DB8::1"))).toBe("2001:db8::1");
    expect(addressOf(from("10.0.0.2"))).toBe("10.0.0.2");
  });

  it("cannot be chosen by who sends the header", () => {
    const addressOf = createClientAddress(["10.0.0.1"]);

    expect(addressOf(from("203.0.113.9", "10.0.0.1"))).toBe("203.0.113.9");
    expect(addressOf(from("10.0.0.1", "1.1.1.1, 203.0.113.9"))).toBe("203.0.113.9");
    expect(addressOf(from("10.0.0.1", "<script>"))).toBe("10.0.0.1");
    expect(addressOf(from("10.0.0.1", "1.1.1.1, ,"))).toBe("10.0.0.1");
  });

  it("has one spelling", () => {
    const addressOf = createClientAddress(["10.0.0.1"]);

    expect(addressOf(from("::ffff:203.0.113.9"))).toBe("203.0.113.9");
    expect(addressOf(from("::ffff:10.0.0.1", "::FFFF:203.0.113.9"))).toBe("203.0.113.9");
  });

  it("counts a proxy by its IPv4 address however it is named, and by its address on whatever interface", () => {
    const addressOf = createClientAddress(["::ffff:10.0.0.0/104", "fe80::/10"]);

    expect(addressOf(from("::ffff:10.0.0.2", "198.51.100.1"))).toBe("198.51.100.1");
    expect(addressOf(from("fe80::1%eth0", "198.51.100.1"))).toBe("198.51.100.1");
  });

  it("is told to the log where a proxy reports it whom nobody trusts, once a minute", () => {
    const { log, lines } = readableLog();
    const addressOf = createClientAddress(["10.0.0.1"], log);

    for (let i = 0; i < 100; i += 1) addressOf(from("10.0.0.2", "198.51.100.1"));
    addressOf(from("10.0.0.1", "198.51.100.1"));
    addressOf(from("10.0.0.2"));

    expect(lines).toMatchObject([
      { level: "warn", peer: "10.0.0.2", msg: expect.stringMatching(/X-Forwarded-For.*TRUSTED_PROXIES/) },
    ]);
  });

  it("takes bounded work to find", () => {
    const addressOf = createClientAddress(["10.0.0.0/8"]);
    const long = Array.from({ length: 100_000 }, () => "10.0.0.1").join(",");

    // Whoever went through all of it would find the first.
    expect(addressOf(from("10.0.0.2", `203.0.113.7,${long}`))).toBe("10.0.0.1");
  });
});
