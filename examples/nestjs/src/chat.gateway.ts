import {
  type OnGatewayConnection,
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from "@nestjs/websockets";
import type { Server, Socket } from "socket.io";

/** As Nest's documentation writes it; `chat:lobby` is a channel: numbered, stored, recovered. */
@WebSocketGateway()
export class ChatGateway implements OnGatewayConnection {
  @WebSocketServer() private readonly io!: Server;

  async handleConnection(socket: Socket): Promise<void> {
    await socket.join("chat:lobby");
  }

  @SubscribeMessage("chat message")
  say(@MessageBody() text: string, @ConnectedSocket() socket: Socket): { said: string; by: string } {
    this.io.to("chat:lobby").emit("chat message", text);
    return { said: text, by: socket.data.user.userId };
  }
}
