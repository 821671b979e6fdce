import type { Command, CommandOf } from "../protocol/commands.ts";
import { subjectOfCommand } from "../protocol/command-subject.ts";

/** One HTTP call, and the indexes of its commands. */
export interface HttpCall {
  method: "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  body: object | undefined;
  /** Idempotency key, if there is no body for it. */
  key?: string | undefined;
  /** Publications have their own in the body. */
  traceparent?: string | undefined;
  indexes: number[];
  /** Whether the response contains one result per index. */
  isBatch: boolean;
}

/** Limits of one batch. */
const maxPerBatch = 1_000;
const maxBatchCharacters = 250_000;

/**
 * Returns queues of calls. Calls of one queue are made one after the other: batches of publications, and commands of
 * the same order, member, session or user. So each subject's commands arrive in order.
 */
export function planCalls(commands: readonly Command[]): HttpCall[][] {
  const queues = new Map<string, HttpCall[]>();
  const batches: HttpCall[] = [];
  let characters = 0;

  function addToBatch({ type: _type, ...publication }: CommandOf<"publish">, index: number): void {
    const size = JSON.stringify(publication).length;
    const last = batches.at(-1);
    if (last !== undefined && last.indexes.length < maxPerBatch && characters + size <= maxBatchCharacters) {
      (last.body as { publications: object[] }).publications.push(publication);
      last.indexes.push(index);
      characters += size;
      return;
    }
    characters = size;
    const body = { publications: [publication] };
    batches.push({ method: "POST", path: "/v1/publish/batch", body, indexes: [index], isBatch: true });
  }

  for (const [index, command] of commands.entries()) {
    if (command.type === "publish") addToBatch(command, index);
    else {
      const { meta, ...single } = command;
      const subject = subjectOfCommand(command);
      const queue = queues.get(subject) ?? [];
      queue.push({ ...callOf(single), traceparent: meta?.traceparent, indexes: [index], isBatch: false });
      queues.set(subject, queue);
    }
  }
  return batches.length === 0 ? [...queues.values()] : [batches, ...queues.values()];
}

/** The call without some of its commands; undefined if none is left. */
export function withoutCommands(call: HttpCall, isLeftOut: (index: number) => boolean): HttpCall | undefined {
  const indexes = call.indexes.filter((index) => !isLeftOut(index));
  if (indexes.length === call.indexes.length) return call;
  if (indexes.length === 0) return undefined;
  const { publications } = call.body as { publications: object[] };
  return {
    ...call,
    indexes,
    body: { publications: publications.filter((_, at) => !isLeftOut(call.indexes[at] as number)) },
  };
}

type SingleCommand = Exclude<Command, { type: "publish" }>;

function callOf(command: SingleCommand): Pick<HttpCall, "method" | "path" | "body" | "key"> {
  switch (command.type) {
    case "order.create": {
      const { type: _type, ...body } = command;
      return { method: "POST", path: "/v1/orders", body };
    }
    case "order.update": {
      const { type: _type, orderId, ...body } = command;
      return { method: "PATCH", path: `/v1/orders/${encodeURIComponent(orderId)}`, body };
    }
    case "order.event": {
      const { type: _type, orderId, ...body } = command;
      return { method: "POST", path: `/v1/orders/${encodeURIComponent(orderId)}/events`, body };
    }
    case "order.signal": {
      const { type: _type, orderId, ...body } = command;
      return { method: "POST", path: `/v1/orders/${encodeURIComponent(orderId)}/signals`, body };
    }
    case "score.submit": {
      const { type: _type, board, member, ...body } = command;
      const path = `/v1/leaderboards/${encodeURIComponent(board)}/scores/${encodeURIComponent(member)}`;
      return { method: "PUT", path, body };
    }
    case "session.update": {
      const { type: _type, sessionId, ...body } = command;
      return { method: "PATCH", path: `/v1/sessions/${encodeURIComponent(sessionId)}`, body };
    }
    case "session.revoke": {
      const { sessionId, idempotencyKey: key } = command;
      return { method: "DELETE", path: `/v1/sessions/${encodeURIComponent(sessionId)}`, body: undefined, key };
    }
    case "user.disconnect": {
      const { type: _type, userId, ...body } = command;
      return { method: "POST", path: `/v1/users/${encodeURIComponent(userId)}/disconnect`, body };
    }
  }
}
