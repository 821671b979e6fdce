import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../../../src/client/client.ts";

/** An event of the connection. */
export interface Note {
  key: number;
  at: number;
  tone: "calm" | "good" | "bad";
  text: string;
}

export interface Notes {
  readonly list: ReadonlySignal<readonly Note[]>;
  follow(client: Client): void;
}

const maxNotes = 40;

export function createNotes(): Notes {
  const list = signal<readonly Note[]>([]);
  let key = 0;
  const add = (tone: Note["tone"], text: string): void => {
    key += 1;
    list.value = [{ key, at: Date.now(), tone, text }, ...list.value].slice(0, maxNotes);
  };

  return {
    list,
    follow(client) {
      client.on("ready", ({ nodeId, recovered }) =>
        add("good", `Connected to ${nodeId}${recovered ? "; Socket.IO recovered the connection" : ""}`),
      );
      client.on("state", ({ state, error, retryInMs }) => {
        if (state !== "disconnected" || error === undefined) return;
        add("bad", `${error.message} Trying again in ${seconds(retryInMs ?? 0)}.`);
      });
      client.on("expiring", () => add("calm", "The token ends soon; asking for a fresh one"));
      client.on("drain", () => add("calm", "The node is going away; moving to another"));
      client.on("closing", ({ code, message }) =>
        add("bad", `The gateway closes this connection. ${code}: ${message}`),
      );
      client.on("error", ({ code, message }) => add("bad", `${code}: ${message}`));
    },
  };
}

const seconds = (durationMs: number): string => `${(durationMs / 1_000).toFixed(1)} s`;
