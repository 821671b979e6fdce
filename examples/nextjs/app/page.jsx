import { Chat } from "./chat.jsx";

// Where the gateway is is read for each request, so that one build serves every environment.
export const dynamic = "force-dynamic";

export default function Page() {
  return <Chat gateway={process.env.GATEWAY ?? "http://localhost:3000"} />;
}
