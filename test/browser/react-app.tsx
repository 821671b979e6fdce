import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "../../src/client/client.ts";
import {
  TidegateProvider,
  useChannel,
  useChannelState,
  useConnection,
  useLeaderboard,
  useOpenOrders,
  useOrder,
  usePresence,
  useText,
} from "../../src/client/react.ts";

/** The page that react-hooks.test.ts drives: each part shows what its hook returns, as text. */

interface Chat {
  said: { text: string };
}

function Messages({ id }: { id: string }) {
  const { state, publications, publish } = useChannel<Chat>("chat:a", { history: 10 });
  return (
    <p id={id} data-state={state} onClick={() => void publish("said", { text: `from ${id}` })}>
      {publications.map(({ data }) => data.text).join(",")}
    </p>
  );
}

const Members = () => (
  <p id="members">
    {usePresence("chat:a")
      .map(({ userId }) => userId)
      .toSorted()
      .join(",")}
  </p>
);

function Board() {
  const { entries, own, live } = useLeaderboard("daily");
  return (
    <p id="board" onClick={() => void live?.submit(7)}>
      {entries.map(({ member, score }) => `${member} ${score}`).join(",")} own {own?.rank ?? "none"}
    </p>
  );
}

function Orders() {
  const { order } = useOrder("o-1");
  const { orders } = useOpenOrders();
  return (
    <p id="orders">
      {order?.status ?? "unknown"}; open {orders.length}
    </p>
  );
}

function Shared() {
  const { entries, live } = useChannelState<string>("board:1");
  const { text, last } = useText("answer:1");
  return (
    <>
      <p id="state" onClick={() => void live?.set("note", "by the page")}>
        state: {[...entries].map(([key, { value }]) => `${key} ${value}`).join(",")}
      </p>
      <p id="text">
        {text} {last?.event ?? "unfinished"}
      </p>
    </>
  );
}

function Everything() {
  const [shown, setShown] = useState(["first", "second"]);
  const { state, ready } = useConnection();
  return (
    <>
      <p id="connection">
        {state} {ready?.userId}
      </p>
      {shown.map((id) => (
        <Messages key={id} id={id} />
      ))}
      <button id="hide" onClick={() => setShown(shown.slice(1))} />
      <Members />
      <Board />
      <Orders />
      <Shared />
    </>
  );
}

const { gateway, token } = Object.fromEntries(new URLSearchParams(location.search)) as Record<string, string>;
const client = connect(gateway ?? "", { token: token ?? "" });
createRoot(document.querySelector("main") as HTMLElement).render(
  <StrictMode>
    <TidegateProvider client={client}>
      <Everything />
    </TidegateProvider>
  </StrictMode>,
);
