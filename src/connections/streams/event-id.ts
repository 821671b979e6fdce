import { createHash } from "node:crypto";
import type { Position } from "../../protocol/scalars.ts";

/**
 * The id of a stream's event: the position in every channel once the event was read, so that `Last-Event-ID` resumes all
 * of them. `<resume key>;<channel>~<epoch>~<offset>,…`, where a channel is 48 bits of its digest. It contains nothing
 * secret but the resume key, and nothing in it is believed: a position that was changed reads other publications of a
 * channel that the client may read anyway, or recovers nothing.
 */
export interface EventId {
  /** Empty if the stream was not opened with a ticket. */
  resumeKey: string;
  /** Undefined for a channel that the id does not name. */
  positionOf(channel: string): Position | undefined;
}

/** Pure. Undefined for an id of another origin. */
export function parseEventId(id: string): EventId | undefined {
  const [resumeKey = "", list, ...more] = id.split(";");
  if (list === undefined || more.length > 0) return undefined;
  const positions = new Map(list.split(",").flatMap(toEntry));
  return { resumeKey, positionOf: (channel) => positions.get(digestOf(channel)) };
}

const entryForm = /^([\w-]{8})~([\w.%-]{1,64})~(\d{1,16})$/;

function toEntry(text: string): [string, Position][] {
  const [, channel, epoch, offset] = entryForm.exec(text) ?? [];
  if (channel === undefined || epoch === undefined) return [];
  return [[channel, { epoch, offset: Number(offset) }]];
}

/** Writes the ids of one stream. */
export class EventIdWriter {
  readonly #resumeKey: string;
  /** Channel → its part of the id. */
  readonly #entries = new Map<string, string>();
  readonly #digests = new Map<string, string>();

  constructor(resumeKey: string) {
    this.#resumeKey = resumeKey;
  }

  /** Everything up to this position was written to the stream. */
  note(channel: string, { epoch, offset }: Position): void {
    let digest = this.#digests.get(channel);
    if (digest === undefined) this.#digests.set(channel, (digest = digestOf(channel)));
    this.#entries.set(channel, `${digest}~${epoch}~${offset}`);
  }

  get id(): string {
    return `${this.#resumeKey};${[...this.#entries.values()].join(",")}`;
  }
}

const digestOf = (channel: string): string => createHash("sha256").update(channel).digest("base64url").slice(0, 8);
