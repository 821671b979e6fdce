import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { keysOf, sign, type Secrets } from "../../src/webhooks/signature.ts";
import { startHookReceiver, type Delivery } from "../support/hook-receiver.ts";
import { repository } from "../support/source-tree.ts";
import { eager, startWebhooksNode, status } from "../support/webhooks-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

type Verify = (secret: string, headers: Record<string, string>, body: string) => unknown;

/** What docs/webhooks.md tells backends to use. */
async function documentedVerify(): Promise<Verify> {
  const page = readFileSync(join(repository, "docs/webhooks.md"), "utf8");
  const [, block = ""] = /```js\n([^]*?)```/.exec(page) ?? [];
  const module = (await import(`data:text/javascript,${encodeURIComponent(block)}`)) as { verifyWebhook: Verify };
  return module.verifyWebhook;
}

async function deliveredWith(secret: Secrets): Promise<Delivery> {
  const receiver = await startHookReceiver();
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints: [eager(receiver.url, { secret })] });
  await node.webhooks.orderStatus(status("ö-1", 1));
  await eventually(() => expect(receiver.deliveries).toHaveLength(1));
  return receiver.deliveries[0]!;
}

test.each(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret in plain words, ünïcode"])(
  "the function in the docs accepts what a node signs with %s",
  async (secret) => {
    const verify = await documentedVerify();
    const { headers, body } = await deliveredWith(secret);

    const message = verify(secret, headers, body);

    expect(message).toMatchObject({ type: "order.status", data: { orderId: "ö-1", sequence: 1 } });
    expect(() => verify("another", headers, body)).toThrow("signature");
    expect(() => verify(secret, headers, `${body} `)).toThrow("signature");
    expect(() => verify(secret, { ...headers, "webhook-id": "msg_other" }, body)).toThrow("signature");
    expect(() => verify(secret, { ...headers, "webhook-timestamp": "1700000000" }, body)).toThrow("too old");
  },
);

test("a receiver verifies with either of two secrets during a rotation", async () => {
  const verify = await documentedVerify();
  const { headers, body } = await deliveredWith(["the old secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);

  expect(verify("the old secret", headers, body)).toMatchObject({ type: "order.status" });
  expect(verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, body)).toMatchObject({ type: "order.status" });
  expect(() => verify("another", headers, body)).toThrow("signature");
});

test("signatures are those of the Standard Webhooks specification's example", () => {
  const keys = keysOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");

  const signature = sign(keys, {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestamp: 1614265330,
    body: '{"test": 2432232314}',
  });

  expect(signature).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

test("a request identifies the gateway, and sends the user and password of the URL as basic authentication", async () => {
  const receiver = await startHookReceiver();
  const url = receiver.url.replace("http://", "http://ada:p%40ss@");
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints: [eager(url)] });

  await node.webhooks.orderStatus(status("o-1", 1));

  await eventually(() => expect(receiver.deliveries).toHaveLength(1));
  const { headers } = receiver.deliveries[0]!;
  expect(headers["user-agent"]).toMatch(/^tidegate\/\d/);
  expect(headers["content-type"]).toBe("application/json");
  expect(headers["authorization"]).toBe(`Basic ${Buffer.from("ada:p@ss").toString("base64")}`);
});
