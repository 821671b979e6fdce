import { generateKeyPairSync } from "node:crypto";
import jsonwebtoken from "jsonwebtoken";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createTokens, type TokenGrant } from "../../src/auth/tokens.ts";
import type { TokenOptions } from "../../src/auth/token-options.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { claims, forge, hs256, keyPair, secret } from "./forge.ts";

const clock = new FakeClock();
const now = clock.now();
const seconds = Math.floor(now / 1_000);
const source = { type: "secret", secret } as const;
const create = (options: TokenOptions) => createTokens(options, { clock });
const withSecret = create({ source });

const subject: TokenGrant = {
  userId: "ada",
  sessionId: "session-1",
  roles: ["support"],
  channels: { subscribe: ["news:*"], publish: [] },
  sessionExpiresAt: now + 86_400_000,
};

describe("a token is read", () => {
  it("with all its claims", async () => {
    const said = { roles: ["support"], channels: { subscribe: ["news:*"] }, anything: { else: [1] } };
    const token = forge({ payload: claims(now, said) });

    await expect(withSecret.verify(token)).resolves.toEqual({
      userId: "ada",
      sessionId: "session-1",
      tokenId: "token-1",
      issuedAt: seconds * 1_000,
      expiresAt: (seconds + 600) * 1_000,
      roles: ["support"],
      channels: { subscribe: ["news:*"], publish: [] },
    });
  });

  it("without roles and channels, which its session may have", async () => {
    const read = await withSecret.verify(forge({ payload: claims(now) }));

    expect(read).toMatchObject({ roles: undefined, channels: undefined });
  });

  it.each(["RS256", "ES256", "EdDSA"] as const)("signed with %s and its public key", async (alg) => {
    const pair = keyPair(alg);
    const tokens = create({ source: { type: "public-key", pem: pair.pem } });
    const token = forge({ header: { alg, kid: "any" }, payload: claims(now), key: pair.privateKey, signedWith: alg });

    await expect(tokens.verify(token)).resolves.toMatchObject({ userId: "ada", sessionId: "session-1" });
  });

  it("signed with any of the secrets during a rotation, and only the first one signs", async () => {
    const additionalSecrets = ["the secret before, of 32 bytes and more", "the one before that, of 32 bytes too"];
    const tokens = create({ source: { type: "secret", secret, additionalSecrets } });
    const signedWith = (key: string) => forge({ payload: claims(now), key });

    for (const key of [secret, ...additionalSecrets])
      await expect(tokens.verify(signedWith(key))).resolves.toMatchObject({ userId: "ada" });
    await expect(tokens.verify(signedWith("yet another secret"))).rejects.toMatchObject({ code: "unauthorized" });
    await expect(withSecret.verify(tokens.issue(subject)?.token)).resolves.toMatchObject({ userId: "ada" });
    await expect(withSecret.verify(signedWith(additionalSecrets[0]!))).rejects.toMatchObject({ code: "unauthorized" });
  });

  it("signed with any of the public keys of a file, of whatever kind", async () => {
    const algorithms = ["RS256", "EdDSA", "ES256", "EdDSA"] as const;
    const pairs = algorithms.map((alg) => ({ alg, ...keyPair(alg) }));
    const signedBy = ({ alg, privateKey: key }: (typeof pairs)[number]) =>
      forge({ header: { alg }, payload: claims(now), key, signedWith: alg });
    const tokens = create({ source: { type: "public-key", pem: pairs.map(({ pem }) => pem).join("\n") } });

    for (const pair of pairs) await expect(tokens.verify(signedBy(pair))).resolves.toMatchObject({ userId: "ada" });
    const stranger = signedBy({ alg: "EdDSA", ...keyPair("EdDSA") });
    await expect(tokens.verify(stranger)).rejects.toMatchObject({ code: "unauthorized" });
    const first = create({ source: { type: "public-key", pem: pairs[0]!.pem } });
    await expect(first.verify(signedBy(pairs[1]!))).rejects.toMatchObject({ code: "unauthorized" });
  });

  it("again without another check of its signature, until it ends", async () => {
    const checks = vi.spyOn(jsonwebtoken, "verify");
    onTestFinished(() => checks.mockRestore());
    const time = new FakeClock();
    const [pair, stranger] = [keyPair("RS256"), keyPair("RS256")];
    const tokens = createTokens({ source: { type: "public-key", pem: pair.pem } }, { clock: time });
    const signedBy = ({ privateKey: key }: typeof pair): string =>
      forge({ header: { alg: "RS256" }, payload: claims(time.now()), key, signedWith: "RS256" });
    const [token, forged] = [signedBy(pair), signedBy(stranger)];

    const reads = [await tokens.verify(token), await tokens.verify(token)];
    expect(reads.map(({ userId }) => userId)).toEqual(["ada", "ada"]);
    expect(checks).toHaveBeenCalledTimes(1);

    await expect(tokens.verify(forged)).rejects.toMatchObject({ code: "unauthorized" });
    await expect(tokens.verify(forged)).rejects.toMatchObject({ code: "unauthorized" });
    await time.advance(601_000);
    await expect(tokens.verify(token)).rejects.toMatchObject({ code: "token_expired" });
  });

  it.each([
    ["no type", { alg: "HS256" }],
    ["the type of RFC 9068", { alg: "HS256", typ: "at+JWT" }],
    ["a key id, which a secret does not look at", { ...hs256, kid: "../../dev/null" }],
    ["spaces in its JSON", '{ "alg" : "HS256" ,\n"typ":"JWT" }'],
  ])("with %s in its header", async (_, header) => {
    await expect(withSecret.verify(forge({ header, payload: claims(now) }))).resolves.toBeDefined();
  });

  it.each<[string, Record<string, unknown>]>([
    ["names that steer nothing", { sub: 'a:b{c}*?/../\\" é 漢 🙂', jti: "}:{", sid: "a b" }],
    ["iat with a fraction", { iat: seconds - 0.25 }],
    ["iat 5 s ahead", { iat: seconds + 5 }],
    ["nbf 5 s ahead", { nbf: seconds + 5 }],
    ["a life of exactly 24 hours", { exp: seconds + 86_400 }],
    ["a last second", { iat: seconds - 599, exp: seconds + 1 }],
    ["empty grants", { roles: [], channels: {} }],
    ["an audience nobody asks for", { aud: ["a", "b"], iss: "c" }],
  ])("with %s", async (_, others) => {
    await expect(withSecret.verify(forge({ payload: claims(now, others) }))).resolves.toBeDefined();
  });

  it("of a configured issuer, for a configured audience, alone or among others", async () => {
    const tokens = create({ source, issuer: "issuer", audience: "gateway" });

    for (const aud of ["gateway", ["billing", "gateway"]]) {
      await expect(tokens.verify(forge({ payload: claims(now, { iss: "issuer", aud }) }))).resolves.toBeDefined();
    }
  });

  it("of a longer life where that is configured", async () => {
    const tokens = create({ source, maxLifeSeconds: 7 * 86_400 });

    await expect(tokens.verify(forge({ payload: claims(now, { exp: seconds + 600_000 }) }))).resolves.toBeDefined();
  });
});

describe("a token is issued", () => {
  it("that its own verifier accepts, with the session's rights", async () => {
    const tokens = create({ source, issuer: "issuer", audience: "gateway", tokenTtlSeconds: 60 });

    const issued = tokens.issue(subject);

    expect(issued?.expiresAt).toBe((seconds + 60) * 1_000);
    await expect(tokens.verify(issued?.token)).resolves.toEqual({
      userId: "ada",
      sessionId: "session-1",
      tokenId: issued?.tokenId,
      issuedAt: seconds * 1_000,
      expiresAt: issued?.expiresAt,
      roles: ["support"],
      channels: { subscribe: ["news:*"], publish: [] },
    });
  });

  it("for fifteen minutes, but never longer than its session", () => {
    const ends = [subject.sessionExpiresAt, now + 5_000].map((sessionExpiresAt) =>
      withSecret.issue({ ...subject, sessionExpiresAt }),
    );

    expect(ends.map((issued) => issued?.expiresAt)).toEqual([now + 900_000, now + 5_000]);
  });

  it("with an id of its own each time", () => {
    const ids = Array.from({ length: 1_000 }, () => withSecret.issue(subject)?.tokenId);

    expect(new Set(ids).size).toBe(1_000);
    expect(ids[0]).toMatch(/^[\w-]{22}$/);
  });

  it("with the most grants a session may have, and is still short enough to come in", async () => {
    const subscribe = Array.from({ length: 64 }, (_, i) => `${i}`.padEnd(58, "x"));
    const userId = "漢".repeat(256);

    const issued = withSecret.issue({ ...subject, userId, channels: { subscribe, publish: [] } });

    await expect(withSecret.verify(issued?.token)).resolves.toMatchObject({ userId });
  });

  it("only with a secret: whoever holds a public key cannot sign", () => {
    const tokens = create({ source: { type: "public-key", pem: keyPair("ES256").pem } });

    expect(tokens.issue(subject)).toBeUndefined();
  });
});

describe("options that cannot work stop the start", () => {
  const { privateKey, pem } = keyPair("RS256");
  const privatePem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();

  it.each<[string, TokenOptions, RegExp]>([
    ["an empty secret", { source: { type: "secret", secret: "" } }, /empty/],
    ["no algorithm", { source, algorithms: [] }, /HS256/],
    ["an algorithm of another key", { source, algorithms: ["HS256", "RS256"] }, /HS256/],
    ["HS256 with a public key", { source: { type: "public-key", pem }, algorithms: ["HS256"] }, /RS256/],
    ["HS256 with a JWKS", { source: { type: "jwks", uri: "https://a.example" }, algorithms: ["HS256"] }, /RS256/],
    ["a private key", { source: { type: "public-key", pem: privatePem } }, /public/],
    ["text that is no key", { source: { type: "public-key", pem: "key" } }, /./],
    ["a file as a JWKS address", { source: { type: "jwks", uri: "file:///etc/passwd" } }, /http/],
    ["a tolerance of 6 s", { source, clockToleranceSeconds: 6 }, /clockToleranceSeconds/],
    ["a life of 0 s", { source, maxLifeSeconds: 0 }, /maxLifeSeconds/],
  ])("%s", (_, options, message) => {
    expect(() => create(options)).toThrow(message);
  });

  it.each([
    ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" })],
    ["RSA of 1024 bits", generateKeyPairSync("rsa", { modulusLength: 1_024 })],
    ["Ed448", generateKeyPairSync("ed448")],
  ])("a public key of a kind we do not pin: %s", (_, { publicKey }) => {
    const other = publicKey.export({ type: "spki", format: "pem" }).toString();

    expect(() => create({ source: { type: "public-key", pem: other } })).toThrow(/none/);
  });
});
