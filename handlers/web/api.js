// Talking to the server (docs/protocol.md). Signing in is a cookie that scripts cannot read.

/** A refusal: `status`, the stable word `code`, what to tell people, and the fields that came with it. */
export class Problem extends Error {
  constructor(status, fields) {
    super(fields.detail || fields.title || `The server answered ${status}.`);
    this.status = status;
    this.code = fields.code ?? "";
    this.fields = fields;
  }
}

/** The server was not reached at all. */
export class Away extends Error {
  constructor() {
    super("The server cannot be reached. Nothing is lost: try again in a moment.");
  }
}

const DEVICE = "web";

/** The path below which the server is, without a slash at its end: this file lies in web/…/ there. */
const BASE = new URL("../../", import.meta.url).pathname.slice(0, -1);

/** The server's address, for commands and codes. */
export const SERVER = location.origin + BASE;

/** An address that begins with what the server calls it. */
export function at(place) {
  return BASE + place;
}

const SESSION = at("/v1/session");

/** What the window is told when the session has ended. */
export const SIGNED_OUT = "signedout";

/** The address of something in a vault: every part is percent-encoded, a path's slashes stay. */
export function address(vault, ...parts) {
  const encoded = parts.map((part) => String(part).split("/").map(encodeURIComponent).join("/"));
  return [at("/v1/vaults"), encodeURIComponent(vault), ...encoded].join("/");
}

/** Sends one request; the answer's JSON, or null where it has none. Throws Problem and Away. */
export async function ask(method, path, { query, json, headers, signal } = {}) {
  const response = await send(method, path, { query, json, headers, signal });
  return response.status === 204 ? null : response.json();
}

/** The first `limit` bytes of a body, and how many it has. */
export async function bytes(path, { query, limit, signal } = {}) {
  const headers = limit ? { Range: `bytes=0-${limit - 1}` } : {};
  let response;
  try {
    response = await send("GET", path, { query, headers, signal });
  } catch (problem) {
    if (problem.code === "bad-range") return { body: new Uint8Array(), size: 0 }; // an empty file has no first byte
    throw problem;
  }
  const body = new Uint8Array(await response.arrayBuffer());
  const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  return { body, size: total ? Number(total[1]) : body.length };
}

async function send(method, path, { query, json, headers, signal }) {
  const words = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const url = words.length ? `${path}?${new URLSearchParams(words)}` : path;
  let response;
  try {
    response = await fetch(url, {
      method,
      signal,
      headers: {
        "X-Requested-With": "gobi", // a 401 is ours to show, not the browser's
        "Gobi-Device": DEVICE,
        ...(json === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: json === undefined ? undefined : JSON.stringify(json),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Away();
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== SESSION) dispatchEvent(new Event(SIGNED_OUT));
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

/** Who is signed in, or null. */
export async function session() {
  try {
    return (await ask("GET", SESSION)).user;
  } catch (problem) {
    if (problem.status === 401) return null;
    throw problem;
  }
}

export async function signIn(user, password) {
  const credentials = new TextEncoder().encode(`${user}:${password}`);
  const basic = btoa(Array.from(credentials, (byte) => String.fromCharCode(byte)).join(""));
  return (await ask("POST", SESSION, { headers: { Authorization: `Basic ${basic}` } })).user;
}

/** Tells the browser's other tabs, of which not every one has a live socket. */
const tabs = new BroadcastChannel("gobi");
tabs.onmessage = () => dispatchEvent(new Event(SIGNED_OUT));

export async function signOut() {
  await ask("DELETE", SESSION);
  tabs.postMessage(SIGNED_OUT);
}
