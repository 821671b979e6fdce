/** The argument of the event, 128 bytes of JSON as in the other benchmarks. */
export const argument = { text: "x".repeat(115) };

/** What a gateway posts to an app for an event. */
export const requestFor = (data: object): string =>
  JSON.stringify({
    id: "msg_00000000-0000-4000-8000-000000000000",
    type: "event",
    event: "say",
    args: [data],
    namespace: "/",
    connection: { connectionId: "5xUX0QnUqxKRuMElAAAB", nodeId: "bench", address: "127.0.0.1", headers: {}, auth: {} },
    user: { userId: "user-1", sessionId: "SZFeDX1LQC4wF9AQ.WEgDhvgmcPpYTVF-pZ290Q", roles: [] },
  });

export const forwardedEvent = requestFor(argument);
