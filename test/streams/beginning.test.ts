import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { ConnectionRegistry } from "../../src/connections/connections.ts";
import {
  Streams,
  type EventStreamRequest,
  type PollRequest,
  type StreamsDeps,
} from "../../src/connections/streams/streams.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { authenticateByList, goodToken } from "../support/edge.ts";
import { testMetrics } from "../support/world.ts";

/** A long poll whose connection cannot begin, and which failures were reported. */
async function pollThatFails(error: Error) {
  const reported: unknown[] = [];
  const identity = await authenticateByList(goodToken);
  const deps = {
    lifecycle: {
      async onConnect() {
        throw error;
      },
    },
    admission: { admit: async () => ({ identity, isBackend: false, resumeKey: "" }) },
    registry: new ConnectionRegistry(),
    metrics: testMetrics(),
    failures: { report: (_place: string, failure: unknown) => reported.push(failure) },
    clock: new FakeClock(),
  } as unknown as StreamsDeps;
  const streams = new Streams(deps, { nodeId: "node", queueBytes: 1_000, closeTimeoutMs: 1_000 });
  const request = { headers: {}, socket: {} };
  const asked = { request, response: new EventEmitter(), channel: "chat:1", waitMs: 1 } as unknown as PollRequest;
  await expect(streams.poll(asked)).rejects.toMatchObject({ code: "unavailable" });
  return reported;
}

test("a failure of the gateway while a stream begins is reported, and what ends in the meantime is none", async () => {
  const fault = new TypeError("a fault");

  expect(await pollThatFails(fault)).toEqual([fault]);
  for (const code of ["forbidden", "not_subscribed", "unavailable"] as const)
    expect(await pollThatFails(new GatewayError(code))).toEqual([]);
});

test("a stream that ends while it begins ends for good after what it has begun", async () => {
  const steps: string[] = [];
  const { promise: permission, resolve: permit } = Promise.withResolvers<void>();
  const identity = await authenticateByList(goodToken);
  const deps = {
    lifecycle: {
      onConnect: async () => undefined,
      onDisconnect: async () => void steps.push("disconnected"),
    },
    admission: { admit: async () => ({ identity, isBackend: false, resumeKey: "" }) },
    channels: {
      async subscribe() {
        await permission;
        steps.push("subscribed");
        return { channel: "chat:1", epoch: "e", offset: 0, recovered: false, publications: [] };
      },
    },
    registry: new ConnectionRegistry(),
    metrics: testMetrics(),
    failures: { report: (_place: string, failure: unknown) => steps.push(String(failure)) },
    clock: new FakeClock(),
  } as unknown as StreamsDeps;
  const streams = new Streams(deps, { nodeId: "node", queueBytes: 1_000, closeTimeoutMs: 1_000 });
  const response = Object.assign(new EventEmitter(), {
    writeHead: () => undefined,
    write: () => response.isEnded && steps.push("written after the end"),
    end: () => (response.isEnded = true),
    destroy: () => undefined,
    isEnded: false,
  });
  const socket = { setKeepAlive: () => socket, setNoDelay: () => socket };
  const asked = { request: { headers: {}, socket }, response, channels: ["chat:1"], headers: {} };
  const stream = streams.stream(asked as unknown as EventStreamRequest);
  await settled();

  response.emit("close");
  await settled();
  permit();
  await stream;
  await settled();

  expect(steps).toEqual(["subscribed", "disconnected"]);
});
