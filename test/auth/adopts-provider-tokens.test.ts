import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { backend, openClient, refusalOf, startGateway, type TestGateway } from "../support/gateway.ts";
import { forge, keyPair, type KeyPair } from "./forge.ts";

const first = keyPair("RS256");
const second = keyPair("RS256");
const jwk = (pair: KeyPair, kid: string) => ({
  ...pair.publicKey.export({ format: "jwk" }),
  kid,
  use: "sig",
  alg: "RS256",
});

/** A real JWKS server, as an identity provider has one. */
async function keyServer() {
  const served = { keys: [jwk(first, "k1")] };
  const server = createServer((_, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(served));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return Object.assign(served, { uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks` });
}

const iat = Math.floor(Date.now() / 1_000) - 5;
const exp = iat + 3_600;

/** Claims as the providers document them. */
const providers = {
  Auth0: {
    claims: { roles: "https://shop.example/roles" },
    payload: {
      iss: "https://shop.eu.auth0.com/",
      sub: "auth0|5f7c8ec7c33c6c004bbafe82",
      aud: ["https://api.shop.example", "https://shop.eu.auth0.com/userinfo"],
      azp: "my_client_id",
      scope: "openid profile",
      "https://shop.example/roles": ["staff"],
    },
  },
  Keycloak: {
    claims: { roles: "realm_access.roles" },
    payload: {
      jti: "onrtac:5f1c0b2e-8a3c-4f54-9c1d-6b1d2c3e4f50",
      iss: "https://id.shop.example/realms/shop",
      aud: "account",
      sub: "9d0f2c1e-2b3a-4c5d-8e6f-7a8b9c0d1e2f",
      typ: "Bearer",
      sid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
      acr: "1",
      "allowed-origins": ["https://shop.example"],
      realm_access: { roles: ["offline_access", "staff"] },
      resource_access: { account: { roles: ["view-profile"] } },
      email_verified: true,
    },
  },
  Clerk: {
    claims: { roles: "org_role" },
    payload: {
      azp: "https://shop.example",
      iss: "https://clean-mayfly-62.clerk.accounts.dev",
      nbf: iat - 10,
      sid: "sess_2GbDB4enHdCa5vS1zpC3Xzg9tK9",
      sub: "user_2GIpXOEpVyJw51rkZn9Kmnc6Sxr",
      org_role: "staff",
    },
  },
  Cognito: {
    claims: { roles: "cognito:groups" },
    payload: {
      sub: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
      "cognito:groups": ["staff"],
      iss: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example",
      client_id: "xxxxxxxxxxxxexample",
      origin_jti: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeef",
      event_id: "64f513be-32db-42b0-b78e-b02127b4f463",
      token_use: "access",
      scope: "aws.cognito.signin.user.admin",
      auth_time: iat,
      jti: "aaaaaaaa-bbbb-cccc-dddd-fffffffffff0",
      username: "ada",
    },
  },
  Supabase: {
    claims: { roles: "app_metadata.roles", info: "user_metadata" },
    payload: {
      iss: "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
      sub: "123e4567-e89b-12d3-a456-426614174000",
      aud: "authenticated",
      email: "ada@example.com",
      phone: "",
      app_metadata: { provider: "email", providers: ["email"], roles: ["staff"] },
      user_metadata: { name: "Ada" },
      role: "authenticated",
      aal: "aal1",
      amr: [{ method: "password", timestamp: iat }],
      session_id: "123e4567-e89b-12d3-a456-426614174111",
      is_anonymous: false,
    },
  },
  Firebase: {
    claims: { roles: "roles" },
    payload: {
      iss: "https://securetoken.google.com/shop",
      aud: "shop",
      auth_time: iat,
      user_id: "hVE0tE5rQ8aLkWc1m9X2bY7z",
      sub: "hVE0tE5rQ8aLkWc1m9X2bY7z",
      roles: ["staff"],
      firebase: { identities: { email: ["ada@example.com"] }, sign_in_provider: "password" },
    },
  },
};

const sign = (payload: object, pair = first, kid = "k1"): string =>
  forge({
    header: { alg: "RS256", typ: "JWT", kid },
    payload: { iat, exp, ...payload },
    key: pair.privateKey,
    signedWith: "RS256",
  });

const operatorSecret = "operator-secret-of-at-least-thirty-two-bytes";

const start = (uri: string, claims: object = {}) =>
  startGateway({
    env: { JWKS_URI: uri, OPERATORS: `ada:${operatorSecret}:viewer` },
    file: { channels: {}, tokens: { adopt: true, claims } },
  });

async function refusal({ url }: TestGateway, token: string): Promise<string> {
  const client = openClient(url, token);
  return new Promise((resolve, reject) => {
    client.once("connect_error", (error) => resolve(refusalOf(error)));
    client.once("ready", () => reject(new Error("was admitted")));
  });
}

describe("a token is accepted as it is, with its roles, and its session begins", () => {
  it.each(Object.entries(providers))("of %s", async (_, { claims, payload }) => {
    const node = await start((await keyServer()).uri, claims);
    const client = await node.connect(sign(payload));

    expect(client.ready).toMatchObject({ userId: payload.sub });
    expect(await client.emitWithAck("subscribe", { channel: "staff:floor" })).toMatchObject({ ok: true });
    const { body } = await node.call("GET", `/v1/users/${encodeURIComponent(payload.sub)}/sessions`);
    expect(body.sessions).toMatchObject([{ connections: 1, roles: expect.arrayContaining(["staff"]) }]);
    if ("user_metadata" in payload) expect(body.sessions[0].info).toEqual({ name: "Ada" });
    // A later token of the same login has the same session.
    const again = await node.connect(sign({ ...payload, exp: exp + 60 }));
    expect(again.ready["sessionId"]).toBe(client.ready["sessionId"]);
  });
});

describe("an adopted login ends", () => {
  const { payload } = providers.Firebase;

  it("with its session, which its tokens do not begin again", async () => {
    const node = await start((await keyServer()).uri);
    const client = await node.connect(sign(payload));

    const { body } = await node.call("DELETE", `/v1/sessions/${String(client.ready["sessionId"])}`);

    expect(body).toMatchObject({ revoked: 1, disconnected: 1 });
    expect(await refusal(node, sign(payload))).toBe("session_expired");
    await node.connect(sign({ ...payload, iat: iat + 1 }));
  });

  it("for all tokens of its user, also those never seen", async () => {
    const node = await start((await keyServer()).uri);
    await node.connect(sign(payload));

    await node.call("DELETE", `/v1/users/${payload.sub}/sessions`);

    expect(await refusal(node, sign({ ...payload, iat: iat - 1 }))).toBe("token_revoked");
  });
});

describe("a backend names an adopted session by the id that the provider gave it", () => {
  const { payload } = providers.Clerk;
  const path = `/v1/sessions/${payload.sid}`;

  it("to read, change, refresh and end it", async () => {
    const node = await start((await keyServer()).uri);
    const client = await node.connect(sign(payload));
    const { sessionId } = client.ready;
    const told = new Promise((resolve) => client.once("closing", resolve));

    expect((await node.call("GET", path)).body.session).toMatchObject({
      sessionId,
      userId: payload.sub,
      connections: 1,
    });
    expect((await node.call("PATCH", path, { roles: ["staff"] })).body).toMatchObject({
      session: { sessionId, roles: ["staff"], connections: 1 },
      acknowledged: 1,
    });
    expect(await client.emitWithAck("subscribe", { channel: "staff:floor" })).toMatchObject({ ok: true });
    expect((await node.call("POST", `${path}/refresh`, {})).status).toBe(200);
    expect((await node.call("DELETE", path)).body).toMatchObject({ revoked: 1, disconnected: 1 });
    expect(await told).toMatchObject({ code: "session_revoked" });
    expect(await refusal(node, sign(payload))).toBe("session_expired");
  });

  it("and learns that none of this id has been seen", async () => {
    const node = await start((await keyServer()).uri);

    expect(await node.call("GET", path)).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect((await node.call("DELETE", path)).body).toMatchObject({ revoked: 0, disconnected: 0 });
  });
});

it("an operator who asks about a token begins no session with it, and learns that it was ended", async () => {
  const node = await start((await keyServer()).uri, providers.Clerk.claims);
  const { payload } = providers.Clerk;
  const { call } = backend(node.url, operatorSecret);
  const why = async () =>
    (await call("POST", "/v1/operator/why", { token: sign(payload), channel: "staff:floor" })).body;

  expect(await why()).toMatchObject({ allowed: true });
  expect((await node.call("GET", `/v1/users/${payload.sub}/sessions`)).body).toEqual({ sessions: [] });

  const { ready } = await node.connect(sign(payload));
  await node.call("DELETE", `/v1/sessions/${String(ready["sessionId"])}`);
  expect(await why()).toMatchObject({ allowed: false, code: "session_expired" });
});

it("keys are rotated without a restart, and other tokens are refused", async () => {
  const keys = await keyServer();
  const node = await start(keys.uri);
  const { payload } = providers.Clerk;
  expect(await refusal(node, sign(payload, second, "k1"))).toBe("unauthorized");
  expect(await refusal(node, sign({ ...payload, channel: "room:1" }))).toBe("unauthorized");
  expect(await refusal(node, sign({ ...payload, exp: iat + 1 }))).toBe("token_expired");
  await node.connect(sign(payload));
});

it("without `tokens.adopt` a token of a provider is refused", async () => {
  const node = await startGateway({ env: { JWKS_URI: (await keyServer()).uri } });

  expect(await refusal(node, sign(providers.Clerk.payload))).toBe("unauthorized");
});
