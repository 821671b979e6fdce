import { Agent, get } from "node:http";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { route } from "../../src/http/route.ts";
import { startHttp } from "./support.ts";

/** A route that answers when told to. */
function waiting() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const slow = route(
    { method: "get", path: "/v1/slow", operationId: "slow", tag: "Tests", summary: "Waits.", answer: z.object({}) },
    async () => {
      begin();
      await promise;
      return { body: {} };
    },
  );
  return { slow, begun, finish: resolve };
}

describe("stopping", () => {
  it("finishes what it is answering, and takes nothing new", async () => {
    const { slow, begun, finish } = waiting();
    const { http, call } = await startHttp({ routes: [slow] });
    const answer = call("/v1/slow");
    await begun;

    const stopped = http.stop(new AbortController().signal);
    await expect(call("/healthz")).rejects.toThrow();
    finish();

    expect((await answer).status).toBe(200);
    await stopped;
  });

  it("does not wait for connections kept alive", async () => {
    const { http, url } = await startHttp();
    const agent = new Agent({ keepAlive: true });
    await new Promise<void>((resolve) =>
      get(`${url}/healthz`, { agent }, (answer) => answer.resume().once("end", resolve)),
    );

    await http.stop(new AbortController().signal);

    expect(http.server.listening).toBe(false);
    agent.destroy();
  });

  it("does not wait for connections that never sent a request", async () => {
    const { http } = await startHttp();
    const spare = connect(http.port, "127.0.0.1");
    await once(spare, "connect");
    const ended = once(spare, "close");

    await http.stop(new AbortController().signal);

    await ended;
  });

  it("cuts what is left when the time is over", async () => {
    const { slow, begun } = waiting();
    const { http, call } = await startHttp({ routes: [slow] });
    const answer = call("/v1/slow");
    await begun;

    await http.stop(AbortSignal.timeout(50));

    await expect(answer).rejects.toThrow();
  });
});

it("a port that is taken fails the start", async () => {
  const { http } = await startHttp();
  const probe = createServer();

  await expect(startHttp({}, { port: http.port })).rejects.toThrow("EADDRINUSE");

  probe.close();
});
