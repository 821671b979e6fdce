"use client";

import { connect } from "@tidegate/client";
import { TidegateProvider, useChannel } from "@tidegate/client/react";
import { useEffect, useState } from "react";

/** Connects in the browser only: on the server there is nobody to stay connected for. */
export function Chat({ gateway }) {
  const [client, setClient] = useState();
  useEffect(() => {
    const connected = connect(gateway, { token: async () => (await fetch("/token", { method: "POST" })).text() });
    setClient(connected);
    return () => connected.close();
  }, [gateway]);
  if (client === undefined) return <p id="state">starting</p>;
  return (
    <TidegateProvider client={client}>
      <Lobby />
    </TidegateProvider>
  );
}

function Lobby() {
  const { state, publications, publish } = useChannel("chat:lobby", { history: 20 });

  async function say(event) {
    event.preventDefault();
    const { input } = event.target.elements;
    await publish("said", { text: input.value }, { retries: 3 });
    event.target.reset();
  }

  return (
    <>
      <p id="state">{state}</p>
      <ul id="messages">
        {publications.map(({ offset, data }) => (
          <li key={offset}>{data.text}</li>
        ))}
      </ul>
      <form onSubmit={say}>
        <input id="input" name="input" autoComplete="off" />
        <button>Send</button>
      </form>
    </>
  );
}
