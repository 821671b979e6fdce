import type { Server } from "socket.io";

export function chat(io: Server): void;
