import type { Channels } from "../../channels/channels.ts";
import type { CommandExecutor } from "../../commands/command-executor.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { historyMessage, publishMessage, subscribeMessage, unsubscribeMessage } from "../../protocol/publications.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";
import type { Connection } from "../connection.ts";

export interface ChannelHandlersDeps {
  channels: Channels;
  /** Lets the connection into a channel with a subscription token. */
  useToken: (connection: Connection, channel: string, token: string) => Promise<void>;
  /** Ends subscriptions that the connection's identity no longer allows. */
  recheck: (connection: Connection) => void;
  /** Checks the data of a publication; returns it as JSON. */
  encode: CommandExecutor["encode"];
  /** Counts a publication that came from a client, unless it repeats an earlier one. */
  onPublished: () => void;
}

/** Client events `subscribe`, `unsubscribe`, `publish`, `history`. */
export function createChannelHandlers({
  channels,
  useToken,
  recheck,
  encode,
  onPublished,
}: ChannelHandlersDeps): ClientHandler[] {
  return [
    clientHandler("subscribe", subscribeMessage, async (connection, { channel, since, token }) => {
      if (token !== undefined) await useToken(connection, channel, token);
      const { identity } = connection;
      const subscription = await channels.subscribe(connection.subscriber, identity, channel, since);
      connection.join(channel);
      // The rights may have changed while the permission was being checked.
      if (connection.identity !== identity) setImmediate(() => recheck(connection));
      return subscription;
    }),

    clientHandler("unsubscribe", unsubscribeMessage, async (connection, { channel }) => {
      if (!(await channels.unsubscribe(connection.subscriber, channel))) throw new GatewayError("not_subscribed");
      connection.leave(channel);
      return { channel };
    }),

    clientHandler(
      "publish",
      publishMessage,
      async (connection, message) => {
        const { identity, id: connectionId } = connection;
        // Sent to Redis before the first await, so a client's publications stay in order.
        const published = await channels.publishAs(
          identity,
          {
            channel: message.channel,
            event: message.event,
            data: encode(message),
            idempotencyKey: ownKey(connection, message.idempotencyKey),
            from: { userId: identity.userId, connectionId, info: identity.info },
            except: message.echo === false ? [connectionId] : undefined,
          },
          { isEphemeral: message.ephemeral, subscriber: connection.subscriber },
        );
        if (!published.duplicate) onPublished();
        return "offset" in published ? published : { channel: published.channel };
      },
      { isOrderedOnceStarted: true, isEphemeral: ({ ephemeral }) => ephemeral === true },
    ),

    clientHandler("history", historyMessage, ({ identity, subscriber }, { channel, since, limit }) =>
      channels.historyAs(identity, channel, { since, limit }, subscriber),
    ),
  ];
}

/** Idempotency keys are scoped to the user: nobody can collide with the key of another user. */
function ownKey(connection: Connection, key: string | undefined): string | undefined {
  return key === undefined ? undefined : `${connection.identity.userId.length}:${connection.identity.userId}:${key}`;
}
