import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { createTokens } from "../../src/auth/tokens.ts";
import type { TokenOptions } from "../../src/auth/token-options.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import {
  badClaims,
  badHeaders,
  badNames,
  badPayloads,
  badSignatures,
  claiming,
  good,
  goodHeader,
  goodPayload,
  goodSignature,
  named,
  notTokens,
  now,
  rsa,
  written,
} from "./bad-tokens.ts";
import { claims, encode, forge, keyPair, secret } from "./forge.ts";

const clock = new FakeClock(now);
const seconds = now / 1_000;

const ec = keyPair("ES256");
const ed = keyPair("EdDSA");

const withSecret = createTokens({ source: { type: "secret", secret } }, { clock });
const withRsa = createTokens({ source: { type: "public-key", pem: rsa.pem } }, { clock });
const withEc = createTokens({ source: { type: "public-key", pem: ec.pem } }, { clock });
const withEd = createTokens({ source: { type: "public-key", pem: ed.pem } }, { clock });
const strict: TokenOptions = {
  source: { type: "secret", secret },
  issuer: "https://issuer.example",
  audience: "gateway",
};
const withNames = createTokens(strict, { clock });

const refusalOf = (verdict: Promise<unknown>): Promise<GatewayError> =>
  verdict.then(
    () => expect.unreachable("the token was accepted"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(GatewayError);
      return error as GatewayError;
    },
  );

/** What anybody may learn of a refusal. */
async function toldOf(verdict: Promise<unknown>): Promise<object> {
  const { name, code, message, cause, retryAfterMs, field } = await refusalOf(verdict);
  return { name, code, message, cause, retryAfterMs, field };
}

/** The catalogue's own words, and nothing of what a library said, which may quote the token. */
const plain = {
  name: "GatewayError",
  code: "unauthorized",
  message: "The token or key is missing or not valid.",
  cause: undefined,
  retryAfterMs: undefined,
  field: undefined,
};

const cases = <T>(table: Record<string, T>): [string, T][] => Object.entries(table);

it("the tokens all bad ones are made from are good", async () => {
  await expect(withSecret.verify(good)).resolves.toMatchObject({ userId: "ada" });
  await expect(withNames.verify(claiming(named))).resolves.toMatchObject({ userId: "ada" });
});

describe("refused as unauthorized", () => {
  it.each(cases(notTokens))("instead of a token: %s", async (_, token) => {
    expect(await toldOf(withSecret.verify(token))).toEqual(plain);
  });
  it.each(cases(badHeaders))("a header %s", async (_, token) => {
    expect(await toldOf(withSecret.verify(token))).toEqual(plain);
  });
  it.each(cases(badSignatures))("a signature %s", async (_, token) => {
    expect(await toldOf(withSecret.verify(token))).toEqual(plain);
  });
  it.each(cases(badPayloads))("a payload %s", async (_, token) => {
    expect(await toldOf(withSecret.verify(token))).toEqual(plain);
  });
  it.each(cases(badClaims))("%s", async (_, others) => {
    expect(await toldOf(withSecret.verify(claiming(others)))).toEqual(plain);
  });
  it.each(cases(badNames))("a token %s", async (_, others) => {
    expect(await toldOf(withNames.verify(claiming(others)))).toEqual(plain);
  });

  it.each([
    ["RSA", withRsa, rsa.pem],
    ["EC", withEc, ec.pem],
    ["Ed25519", withEd, ed.pem],
  ])("HS256 with the public %s key as its secret", async (_, tokens, pem) => {
    for (const key of [pem, pem.trim(), pem.replaceAll(/-----[^-]+-----|\s/g, "")]) {
      expect(await toldOf(tokens.verify(forge({ payload: claims(now), key })))).toEqual(plain);
    }
  });

  it.each([
    ["RSA", withRsa, "RS256"],
    ["EC", withEc, "ES256"],
    ["Ed25519", withEd, "EdDSA"],
  ] as const)("a token of another %s key", async (_, tokens, alg) => {
    const stranger = keyPair(alg);
    const token = forge({ header: { alg }, payload: claims(now), key: stranger.privateKey, signedWith: alg });

    expect(await toldOf(tokens.verify(token))).toEqual(plain);
  });

  it.each([
    ["ES256 at an RSA key", withRsa, ec, "ES256"],
    ["RS256 at an EC key", withEc, rsa, "RS256"],
    ["EdDSA at an RSA key", withRsa, ed, "EdDSA"],
    ["ES256 at an Ed25519 key", withEd, ec, "ES256"],
  ] as const)("%s", async (_, tokens, pair, alg) => {
    const token = forge({ header: { alg }, payload: claims(now), key: pair.privateKey, signedWith: alg });

    expect(await toldOf(tokens.verify(token))).toEqual(plain);
  });

  it.each([
    ["a byte order mark", `\ufeff${JSON.stringify(claims(now))}`],
    ["a repeated key", written('"sub":"eve"')],
    ["no JSON", "sub=ada"],
  ])("EdDSA over a payload with %s", async (_, payload) => {
    const token = forge({ header: { alg: "EdDSA" }, payload, key: ed.privateKey, signedWith: "EdDSA" });

    expect(await toldOf(withEd.verify(token))).toEqual(plain);
  });

  it("ES256 with a signature of zeros", async () => {
    const zeros = Buffer.alloc(64).toString("base64url");

    expect(await toldOf(withEc.verify(`${encode({ alg: "ES256" })}.${goodPayload}.${zeros}`))).toEqual(plain);
  });
});

describe("refused as token_expired", () => {
  it.each([
    ["a moment ago", 600],
    ["a second ago", 601],
    ["an hour ago", 4_200],
  ])("an otherwise valid token that ended %s", async (_, ageSeconds) => {
    const iat = seconds - ageSeconds;
    const token = claiming({ iat, exp: iat + 600 });

    expect((await refusalOf(withSecret.verify(token))).code).toBe("token_expired");
    await expect(withSecret.read(token)).resolves.toMatchObject({ tokenId: "token-1" });
  });

  it("one that was signed now with a negative lifetime, as libraries do", async () => {
    const token = claiming({ iat: seconds, exp: seconds - 10 });

    expect((await refusalOf(withSecret.verify(token))).code).toBe("token_expired");
  });
});

it("nothing a header names is ever fetched", async () => {
  let connections = 0;
  const listener = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/keys`;

  for (const tokens of [withSecret, withRsa, withEc, withEd]) {
    for (const name of ["jku", "x5u", "kid", "iss"]) {
      const header = { alg: "RS256", [name]: address };
      const token = forge({ header, payload: claims(now, { iss: address }), key: rsa.privateKey, signedWith: "RS256" });
      const refusal = await tokens.verify(token).then(
        () => "accepted",
        (error: GatewayError) => error.code,
      );
      expect(refusal).toBe(tokens === withRsa && (name === "kid" || name === "iss") ? "accepted" : "unauthorized");
    }
  }

  // Our own connection comes last; any other would have been counted before it.
  await fetch(address).catch(() => undefined);
  expect(connections).toBe(1);
  await new Promise((resolve) => listener.close(resolve));
});

it("a huge token is refused within a millisecond, before anything of it is decoded", async () => {
  const huge = [
    `${goodHeader}.${"a".repeat(8_000_000)}.${goodSignature}`,
    ".".repeat(8_000_000),
    "é".repeat(8_000_000),
  ];
  await refusalOf(withSecret.verify(huge[0]));

  for (const token of huge) expect(await fastest(() => refusalOf(withSecret.verify(token)))).toBeLessThan(1);
});

/** Milliseconds of the best of ten tries: what the code costs, not what else the machine does. */
async function fastest(run: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < 10; i += 1) best = Math.min(best, await timed(run));
  return best;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

it("a worst case of 8 kB costs little", async () => {
  const worst = ["[", '{"a":', '"\\\\', '"a":'].map((piece) =>
    forge({ payload: piece.repeat(8_000).slice(0, 5_900), key: "another secret" }),
  );

  for (const token of worst) expect(await fastest(() => refusalOf(withSecret.verify(token)))).toBeLessThan(5);
});
