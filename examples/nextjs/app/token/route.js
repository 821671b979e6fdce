/** A token for the user who is logged in. The API key stays on the server; your application has a login instead of a cookie. */
export async function POST(request) {
  const guest = request.cookies.get("guest")?.value ?? crypto.randomUUID();
  const response = await fetch(`${process.env.GATEWAY ?? "http://localhost:3000"}/v1/sessions`, {
    method: "POST",
    headers: { authorization: `Bearer ${process.env.API_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ userId: `guest:${guest}` }),
  });
  if (!response.ok) return new Response("no token", { status: 502 });
  const { token } = await response.json();
  return new Response(token, { headers: { "set-cookie": `guest=${guest}; HttpOnly; SameSite=Lax; Path=/` } });
}
