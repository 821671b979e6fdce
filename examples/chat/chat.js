/** The server code of the official Socket.IO chat, as it is: it runs on `new Server()` and on `gateway.io` alike. */
export function chat(io) {
  io.on("connection", (socket) => {
    socket.on("chat message", (msg) => {
      io.emit("chat message", msg);
    });
  });
}
