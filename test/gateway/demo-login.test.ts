import { expect, test } from "vitest";
import { metricOf } from "../support/flooder.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const demo = { DEMO: "true" };

const signIn = ({ call }: TestGateway, name: string) => call("POST", "/demo/login", { name }, { authorization: "" });

test("five may sign in under one name from one address in a quarter of an hour; another name is not held up", async () => {
  const gateway = await startGateway({ env: demo });

  const statuses: number[] = [];
  for (let login = 0; login < 5; login += 1) statuses.push((await signIn(gateway, "ada")).status);
  const sixth = await signIn(gateway, "ada");
  const other = await signIn(gateway, "bob");

  expect(statuses).toEqual([201, 201, 201, 201, 201]);
  expect(sixth.status).toBe(429);
  expect(sixth.body.code).toBe("rate_limited");
  const retryAfter = Number(sixth.headers.get("retry-after"));
  expect(retryAfter).toBeGreaterThan(880);
  expect(retryAfter).toBeLessThanOrEqual(900);
  expect(other.status).toBe(201);
});

test("a refused sign-in begins no session, and is counted by its limiter's name", async () => {
  const gateway = await startGateway({ env: demo, file: { limits: { logins: { requests: 1, windowSeconds: 60 } } } });

  await signIn(gateway, "ada");
  await signIn(gateway, "ada");

  const { body } = await gateway.call("GET", "/v1/users/ada/sessions");
  expect(body.sessions).toHaveLength(1);
  expect(await metricOf(gateway.url, "gateway_refusals_total", { limiter: "logins" })).toBe(1);
});

test("a sign-in beyond the user's sessions closes the sockets of the one that is let go", async () => {
  const gateway = await startGateway({ env: demo, file: { sessions: { maxSessionsPerUser: 1 } } });
  const first = await signIn(gateway, "ada");
  const client = await gateway.connect(first.body.token);

  await signIn(gateway, "ada");

  await eventually(() => expect(client.connected).toBe(false));
  expect(client.events).toContainEqual(["closing", expect.objectContaining({ code: "session_revoked" })]);
});

test.each([
  ["on a store of one's own", {}],
  ["with a secret of one's own", { JWT_SECRET: "a secret of more than thirty-two bytes" }],
  [
    "in production",
    {
      NODE_ENV: "production",
      JWT_SECRET: "a secret of more than thirty-two bytes",
      ALLOWED_ORIGINS: "https://app.example",
    },
  ],
])("there is no page, and nobody can sign in, %s, unless it is asked for", async (_, env) => {
  const gateway = await startGateway({ env });

  expect((await gateway.call("GET", "/demo/")).status).toBe(404);
  expect((await signIn(gateway, "ada")).status).toBe(404);
  expect((await gateway.call("GET", "/healthz")).status).toBe(200);

  const asked = await startGateway({ env: { ...env, ...demo } });

  expect((await signIn(asked, "ada")).status).toBe(201);
});
