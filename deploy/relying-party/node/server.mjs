// A website in Node that signs people in with persona. No dependency; see ../README.md.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const { PERSONA_ORIGIN: persona, AUDIENCE: audience, LISTEN = "127.0.0.1:8002", CA_FILE } = process.env;
if (!persona || !audience) {
  console.error("set PERSONA_ORIGIN to the identity host's origin and AUDIENCE to your own, such as https://example.com and https://shop.example.com");
  process.exit(2);
}
const verifier = process.env.VERIFIER || persona + "/persona/v2";
const ca = CA_FILE ? readFileSync(CA_FILE) : undefined;
const file = (name) => readFileSync(new URL("../pages/" + name, import.meta.url), "utf8");
const assets = { "/sign-in.js": "text/javascript", "/style.css": "text/css" };
const secure = audience.startsWith("https:");
const cookieName = secure ? "__Host-session" : "session"; // with __Host- no neighbour of the site can set it
// All that include.js needs is its host in script-src.
const policy = `default-src 'none'; script-src 'self' ${persona}; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;
const secret = randomBytes(32); // makes a session's token from its id
const sessions = new Map(); // of the people who are signed in: {email, ends} by the id in their cookie

const token = (id) => createHmac("sha256", secret).update(id).digest("hex");
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const equal = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

async function readAll(stream, limit) {
  const parts = [];
  let size = 0;
  for await (const part of stream) {
    if ((size += part.length) > limit) throw new Error("too much was sent");
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** Has an assertion verified. The audience stops another site from using those that it was given. */
async function verify(assertion) {
  const response = await new Promise((resolve, reject) => {
    const options = { method: "POST", ca, signal: AbortSignal.timeout(10_000), headers: { "Content-Type": "application/json" } };
    (verifier.startsWith("https:") ? https : http).request(verifier, options, resolve).on("error", reject)
      .end(JSON.stringify({ assertion, audience }));
  });
  if (response.statusCode !== 200) throw new Error("it answered " + response.statusCode); // every verdict is 200
  return JSON.parse(await readAll(response, 65536));
}

function newSession(headers) {
  const id = randomBytes(32).toString("base64url");
  headers["Set-Cookie"] = `${cookieName}=${id}; Path=/; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
  return id;
}

function home(id) {
  const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy };
  id ||= newSession(headers);
  const visitor = sessions.get(id);
  const values = { Persona: persona, CSRF: token(id), Email: visitor?.email ?? "" };
  const page = file(visitor && Date.now() < visitor.ends ? "signed-in.html" : "signed-out.html");
  return [200, page.replace(/\{\{\.(\w+)\}\}/g, (_, name) => escape(values[name])), headers];
}

async function signIn(id, form) {
  let verdict;
  try {
    verdict = await verify(form.get("assertion") ?? "");
  } catch (error) {
    console.error("asking the verifier:", error);
    return [502, "Signing in is not possible at the moment."];
  }
  if (verdict.status !== "okay") {
    console.error("an assertion was refused:", JSON.stringify(verdict.reason));
    return [403, "You were not signed in."];
  }
  for (const [other, { ends }] of sessions) if (other === id || ends < Date.now()) sessions.delete(other);
  const headers = { Location: "/" };
  // Never the id from before: an attacker may know it.
  sessions.set(newSession(headers), { email: verdict.email, ends: Date.now() + 8 * 3600 * 1000 });
  return [303, "", headers];
}

function signOut(id) {
  sessions.delete(id);
  const headers = { Location: "/" };
  newSession(headers);
  return [303, "", headers];
}

async function answer(request) {
  const { method, url } = request;
  const id = (request.headers.cookie ?? "").split("; ").find((c) => c.startsWith(cookieName + "="))?.slice(cookieName.length + 1);
  if (method === "GET" && url === "/") return home(id);
  if (method === "GET" && assets[url]) return [200, file(url.slice(1)), { "Content-Type": assets[url] }];
  if (method !== "POST" || !["/sign-in", "/sign-out"].includes(url)) return [404, "There is no such page."];
  const form = new URLSearchParams(await readAll(request, 65536));
  if (!id || !equal(form.get("csrf") ?? "", token(id))) return [403, "This page was too old. Go back, load it anew and try again."];
  return url === "/sign-in" ? signIn(id, form) : signOut(id);
}

const server = http.createServer(async (request, response) => {
  const [status, body, headers] = await answer(request).catch((error) => [400, String(error.message)]);
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", ...headers });
  response.end(body);
});
const [host, port] = LISTEN.split(":");
server.listen(Number(port), host, () => console.log("listening on " + LISTEN));
