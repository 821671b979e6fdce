import { openTable } from "../shared/table.ts";

export interface Session {
  sessionID: string;
  userID: string;
  username: string;
  connected: boolean;
}

export interface Message {
  content: string;
  from: string;
  to: string;
}

export const sessions = openTable<Session>("sessions");
export const messages = openTable<Message>("messages");
