import { createServer } from "node:http";
import { join } from "node:path";
import express from "express";
import { createGateway } from "tidegate";
import { invalid, newTodo, notFound, todo, todoId, todos, type Callback } from "./todo.ts";

const app = express();
const server = createServer(app);
const gateway = await createGateway({ server, env: process.env, channels: { todos: { deliver: "event" } } });
const { io } = gateway;
gateway.hooks.connect(({ connection }) => ({ userId: String(connection?.auth.guest) }));

app.get("/", (_req, res) => res.sendFile(join(import.meta.dirname, "index.html")));

io.on("connection", (socket) => {
  socket.on("todo:list", async (callback: Callback) => {
    await socket.join("todos:all");
    callback({ data: await todos.all() });
  });

  socket.on("todo:read", async (payload: unknown, callback: Callback) => {
    const { data: id, error } = todoId.safeParse(payload);
    if (error) return callback(invalid(error));
    const found = await todos.get(id);
    callback(found ? { data: found } : notFound);
  });

  socket.on("todo:create", async (payload: unknown, callback: Callback) => {
    const { data, error } = newTodo.safeParse(payload);
    if (error) return callback(invalid(error));
    const created = { ...data, id: crypto.randomUUID() };
    await todos.set(created.id, created);
    callback({ data: created.id });
    socket.to("todos:all").emit("todo:created", created);
  });

  socket.on("todo:update", async (payload: unknown, callback: Callback) => {
    const { data, error } = todo.safeParse(payload);
    if (error) return callback(invalid(error));
    if (!(await todos.get(data.id))) return callback(notFound);
    await todos.set(data.id, data);
    callback({});
    socket.to("todos:all").emit("todo:updated", data);
  });

  socket.on("todo:delete", async (payload: unknown, callback: Callback) => {
    const { data: id, error } = todoId.safeParse(payload);
    if (error) return callback(invalid(error));
    if (!(await todos.delete(id))) return callback(notFound);
    callback({});
    socket.to("todos:all").emit("todo:deleted", id);
  });
});

server.listen(Number(process.env.PORT ?? 3000));
