import { z } from "zod";

/**
 * What the Redis adapter's nodes, and @socket.io/redis-emitter, ask of each other beside broadcasts, as far as the
 * adapter acts on it before it looks. Left out are broadcasts that want acknowledgements: clients may not send any.
 */
const names = z.array(z.string());

/** Without both lists an order would go to every socket there is. */
const target = z.looseObject({ rooms: names, except: names });

const emitted = z.tuple([z.string().refine((name) => !reserved.has(name))]).rest(z.unknown());

/** Socket.IO's own events of a namespace. */
const reserved = new Set(["connect", "connection", "new_namespace", "error"]);

const request = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal([0, 1]), requestId: z.string(), rooms: names.optional() }),
  z.looseObject({ type: z.literal([2, 3]), opts: target, rooms: names }),
  z.looseObject({ type: z.literal(4), opts: target, close: z.boolean() }),
  z.looseObject({ type: z.literal(5), requestId: z.string(), opts: target }),
  z.looseObject({ type: z.literal(6), requestId: z.string().optional(), data: emitted }),
]);

const response = z.looseObject({ requestId: z.string() });

export const isControlRequest = (value: unknown): boolean => request.safeParse(value).success;
export const isControlResponse = (value: unknown): boolean => response.safeParse(value).success;
