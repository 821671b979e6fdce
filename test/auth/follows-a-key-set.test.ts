import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { JwksOptions } from "../../src/auth/token-options.ts";
import { createTokens } from "../../src/auth/tokens.ts";
import type { GatewayError } from "../../src/protocol/errors.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import { readableLog } from "../support/edge.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { within } from "../support/promised.ts";
import { eventually } from "../support/world.ts";
import { claims, forge, keyPair, type KeyPair } from "./forge.ts";

type Algorithm = "RS256" | "ES256" | "EdDSA";

/** A real JWKS server on loopback. */
async function keyServer() {
  const served = {
    keys: [] as object[],
    requests: 0,
    answer: undefined as ((response: ServerResponse) => unknown) | undefined,
  };
  const server = createServer((_, response) => {
    served.requests += 1;
    if (served.answer !== undefined) return served.answer(response);
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: served.keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(served, { uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys` });
}

const published = (pair: KeyPair, kid: string, others: object = {}): object => ({
  ...pair.publicKey.export({ format: "jwk" }),
  kid,
  use: "sig",
  ...others,
});

async function world(jwks: JwksOptions = {}, log?: Logger) {
  const clock = new FakeClock();
  const server = await keyServer();
  const tokens = createTokens({ source: { type: "jwks", uri: server.uri }, jwks }, { clock, log });
  const verify = async (pair: KeyPair, alg: Algorithm, kid: string | undefined): Promise<string> => {
    const header = kid === undefined ? { alg } : { alg, kid };
    const token = forge({ header, payload: claims(clock.now()), key: pair.privateKey, signedWith: alg });
    return tokens.verify(token).then(
      ({ userId }) => userId,
      (error: GatewayError) => error.code,
    );
  };
  return { clock, server, tokens, verify };
}

const rsa = keyPair("RS256");
const other = keyPair("RS256");
const ec = keyPair("ES256");
const ed = keyPair("EdDSA");

it("tokens of every kind of key in the set are good, and the set is read once", async () => {
  const { server, verify } = await world();
  server.keys = [published(rsa, "r"), published(ec, "e"), published(ed, "d")];

  const verdicts = await Promise.all([
    verify(rsa, "RS256", "r"),
    verify(ec, "ES256", "e"),
    verify(ed, "EdDSA", "d"),
    verify(ed, "EdDSA", undefined),
  ]);

  expect(verdicts).toEqual(["ada", "ada", "ada", "ada"]);
  expect(server.requests).toBe(1);
});

it("a key that was rotated in is found without a restart; one that was taken out is gone", async () => {
  const { server, clock, verify } = await world();
  server.keys = [published(rsa, "old")];
  expect(await verify(rsa, "RS256", "old")).toBe("ada");

  server.keys = [published(other, "new")];
  await clock.advance(30_000);

  expect(await verify(other, "RS256", "new")).toBe("ada");
  expect(await verify(rsa, "RS256", "old")).toBe("unauthorized");
});

it("a token that was good before is refused once its key was taken out", async () => {
  const { server, clock, tokens, verify } = await world();
  server.keys = [published(rsa, "old")];
  const header = { alg: "RS256", kid: "old" };
  const token = forge({ header, payload: claims(clock.now()), key: rsa.privateKey, signedWith: "RS256" });
  await expect(tokens.verify(token)).resolves.toMatchObject({ userId: "ada" });
  await expect(tokens.verify(token)).resolves.toMatchObject({ userId: "ada" });

  server.keys = [published(other, "new")];
  await clock.advance(30_000);

  expect(await verify(other, "RS256", "new")).toBe("ada");
  await expect(tokens.verify(token)).rejects.toMatchObject({ code: "unauthorized" });
});

it("made-up key ids do not reload the set again and again", async () => {
  const { server, verify } = await world();
  server.keys = [published(rsa, "r")];

  const ids = ["__proto__", "constructor", "../../r", "' OR 1=1", ...Array.from({ length: 100 }, (_, i) => `kid-${i}`)];
  const verdicts = await Promise.all(ids.map((kid) => verify(rsa, "RS256", kid)));

  expect(new Set(verdicts)).toEqual(new Set(["unauthorized"]));
  expect(server.requests).toBe(1);
});

it("a token signed by another key than it names is refused", async () => {
  const { server, verify } = await world();
  server.keys = [published(rsa, "r"), published(other, "o"), published(ec, "e")];

  expect(await verify(rsa, "RS256", "o")).toBe("unauthorized");
  expect(await verify(ec, "ES256", "r")).toBe("unauthorized");
});

it("a token that names no key is good where any key of the set signed it, and no other", async () => {
  const { server, verify } = await world();
  server.keys = [published(rsa, "old"), published(ec, "e"), published(other, "new")];

  expect(await verify(rsa, "RS256", undefined)).toBe("ada");
  expect(await verify(other, "RS256", undefined)).toBe("ada");
  expect(await verify(keyPair("RS256"), "RS256", undefined)).toBe("unauthorized");
  expect(server.requests).toBe(1);
});

it("a token that names no key finds one that was rotated in", async () => {
  const { server, clock, verify } = await world();
  server.keys = [published(rsa, "old")];
  expect(await verify(rsa, "RS256", undefined)).toBe("ada");

  server.keys = [published(other, "new")];
  await clock.advance(30_000);

  expect(await verify(other, "RS256", undefined)).toBe("ada");
});

it("an answer without end is read up to a bound", async () => {
  const { server, verify, clock } = await world();
  server.keys = [published(rsa, "r")];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  server.answer = (response) => {
    const spaces = Buffer.alloc(65_536, " ");
    const more = (): void => {
      while (response.write(spaces));
    };
    response.on("drain", more).on("close", resolve);
    more();
  };

  expect(await verify(rsa, "RS256", "r")).toBe("unavailable");
  await ended;
  server.answer = undefined;
  await clock.advance(1_000);
  expect(await verify(rsa, "RS256", "r")).toBe("ada");
});

it("an outage of the address is logged, and its end", async () => {
  const { log, lines } = readableLog();
  const { server, clock, verify } = await world({}, log);
  server.answer = (response) => response.destroy();
  for (let i = 0; i < 5; i += 1) {
    expect(await verify(rsa, "RS256", "r")).toBe("unavailable");
    await clock.advance(1_000);
  }
  server.answer = undefined;
  server.keys = [published(rsa, "r")];

  expect(await verify(rsa, "RS256", "r")).toBe("ada");
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    ["warn", "fetching the JWKS failed; retrying"],
    ["info", "the JWKS can be fetched again"],
  ]);
});

it("a secret or a private key in the set is not used", async () => {
  const { server, tokens, clock, verify } = await world();
  const privateJwk = { ...rsa.privateKey.export({ format: "jwk" }), kid: "private" };
  server.keys = [{ kty: "oct", k: Buffer.from("secret").toString("base64url"), kid: "oct" }, privateJwk];

  const hs = forge({ header: { alg: "HS256", kid: "oct" }, payload: claims(clock.now()), key: "secret" });

  await expect(tokens.verify(hs)).rejects.toMatchObject({ code: "unauthorized" });
  expect(await verify(rsa, "RS256", "private")).toBe("unauthorized");
});

it("an expired token, or one with odd claims, is refused as with any other key", async () => {
  const { server, tokens, clock } = await world();
  server.keys = [published(ec, "e")];
  const sign = (payload: object) =>
    tokens.verify(forge({ header: { alg: "ES256", kid: "e" }, payload, key: ec.privateKey, signedWith: "ES256" }));

  await expect(sign(claims(clock.now() - 3_600_000))).rejects.toMatchObject({ code: "token_expired" });
  await expect(sign(claims(clock.now(), { jti: 1 }))).rejects.toMatchObject({ code: "unauthorized" });
});

/** Of a server that says nothing, or stops in the middle. */
const silenceMs = 2_000;

it.each<[string, (response: ServerResponse) => unknown]>([
  ["an error", (response) => response.writeHead(500).end()],
  ["a page", (response) => response.end("<html>")],
  ["JSON that is no set", (response) => response.end('{"keys":"none"}')],
  ["silence", () => undefined],
  ["half of it, and silence", (response) => response.write('{"keys":[')],
  ["a hang-up", (response) => response.destroy()],
])("nobody is let in, and told so, while the address answers with %s", async (_, answer) => {
  const { server, clock, verify } = await world({ timeoutMs: silenceMs });
  server.keys = [published(rsa, "r")];
  server.answer = answer;

  expect(await Promise.all([verify(rsa, "RS256", "r"), verify(rsa, "RS256", "r")])).toEqual([
    "unavailable",
    "unavailable",
  ]);
  expect(await verify(rsa, "RS256", "r")).toBe("unavailable");
  expect(server.requests).toBe(1);

  server.answer = undefined;
  await within(silenceMs, async () => {
    await clock.advance(1_000);
    expect(await verify(rsa, "RS256", "r")).toBe("ada");
  });
});

it("that no token can be verified is known without waiting, until the address answers", async () => {
  const { server, clock, tokens, verify } = await world({ timeoutMs: 100 });
  server.answer = () => undefined;

  expect(tokens.hasKeys()).toBe(true);
  await eventually(() => expect(tokens.hasKeys()).toBe(false));

  server.answer = undefined;
  server.keys = [published(rsa, "r")];
  // Each second it is asked again; an answer may be too late for the time-out.
  await eventually(async () => {
    await clock.advance(1_000);
    expect(tokens.hasKeys()).toBe(true);
  });
  expect(await verify(rsa, "RS256", "r")).toBe("ada");
});

it("no redirect is followed", async () => {
  const { server, verify } = await world();
  const elsewhere = await keyServer();
  elsewhere.keys = [published(rsa, "r")];
  server.answer = (response) => response.writeHead(302, { location: elsewhere.uri }).end();

  expect(await verify(rsa, "RS256", "r")).toBe("unavailable");
  expect(elsewhere.requests).toBe(0);
});

it("known keys serve through an outage of an hour, and not longer", async () => {
  const { server, clock, verify } = await world();
  server.keys = [published(rsa, "r")];
  expect(await verify(rsa, "RS256", "r")).toBe("ada");

  server.answer = (response) => response.writeHead(503).end();
  for (let minute = 10; minute < 60; minute += 10) {
    await clock.advance(600_000);
    expect(await verify(rsa, "RS256", "r")).toBe("ada");
  }
  await eventually(() => expect(server.requests).toBeGreaterThan(1));

  await clock.advance(600_000);
  expect(await verify(rsa, "RS256", "r")).toBe("unavailable");
});

it("constant callers do not prevent a reload", async () => {
  const { server, clock, verify } = await world();
  server.answer = (response) => response.writeHead(503).end();
  for (let i = 0; i < 10; i += 1) {
    expect(await verify(rsa, "RS256", "r")).toBe("unavailable");
    await clock.advance(300);
  }
  expect(server.requests).toBe(3); // After 0, 1.2 and 2.4 seconds.

  server.keys = [published(rsa, "r")];
  server.answer = undefined;

  await clock.advance(600);
  expect(await verify(rsa, "RS256", "r")).toBe("ada");
});

it("the set is reloaded in the background once it is ten minutes old", async () => {
  const { server, clock, verify } = await world();
  server.keys = [published(rsa, "r")];
  expect(await verify(rsa, "RS256", "r")).toBe("ada");

  server.keys = [published(other, "o")];
  await clock.advance(600_000);

  expect(await verify(rsa, "RS256", "r")).toBe("ada");
  await eventually(async () => expect(await verify(rsa, "RS256", "r")).toBe("unauthorized"));
  expect(await verify(other, "RS256", "o")).toBe("ada");
  expect(server.requests).toBe(2);
});
