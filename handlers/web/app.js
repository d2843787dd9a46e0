// The page: who is signed in, which view the address names, and the vault's live socket.

import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { SIGNED_OUT, address, ask, session, signOut } from "./api.js";
import { Live } from "./live.js";
import { Name, Place, Tell, Trouble, link } from "./parts.js";
import { About } from "./about.js";
import { Changes } from "./changes.js";
import { Compare } from "./compare.js";
import { Conflicts } from "./conflicts.js";
import { Devices } from "./devices.js";
import { FileView } from "./file.js";
import { Files } from "./files.js";
import { INVITE, Invite } from "./invite.js";
import { Settle } from "./settle.js";
import { SignIn } from "./signin.js";
import { Undo } from "./undo.js";
import { Vaults } from "./vaults.js";

const VIEWS = { files: Files, file: FileView, compare: Compare, changes: Changes, undo: Undo, conflicts: Conflicts, about: About };

/** The address's view: `{ vault, view, path, query }`, `{ devices: true }`, or `{ invite }`, which is for nobody signed in. */
function where() {
  if (location.hash.startsWith(INVITE)) return { invite: location.hash };
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  try {
    const [head, vault, view = "files", ...rest] = path.split("/").map(decodeURIComponent);
    if (head === "devices") return { devices: true };
    if (head !== "v" || !vault) return {};
    return { vault, view: view || "files", path: rest.join("/"), query: Object.fromEntries(new URLSearchParams(query)) };
  } catch {
    return {}; // a broken address
  }
}

function App() {
  const [user, setUser] = useState(undefined);
  const [ended, setEnded] = useState(false); // the session, not the work: what is open stays open behind the sign-in
  const [trouble, setTrouble] = useState(null);
  const [place, setPlace] = useState(where);
  const [notice, setNotice] = useState(null);
  useEffect(() => {
    const moved = () => setPlace(where());
    const out = () => setEnded(true);
    addEventListener("hashchange", moved);
    addEventListener(SIGNED_OUT, out);
    session().then(setUser, setTrouble);
    return () => {
      removeEventListener("hashchange", moved);
      removeEventListener(SIGNED_OUT, out);
    };
  }, []);
  const tell = useCallback((text, more = {}) => setNotice((old) => ({ kept: old?.kept, text, ...more })), []);
  const enter = (name) => {
    if (user && user !== name) location.reload(); // what is open is somebody else's
    setUser(name);
    setEnded(false);
  };
  const leave = async () => {
    try {
      await signOut();
      setUser(null);
    } catch (error) {
      tell(error.message, { problem: true });
    }
  };

  let content;
  if (place.invite) content = html`<${Invite} key=${place.invite} hash=${place.invite} />`;
  else if (trouble) content = html`<main><${Trouble} error=${trouble} again=${() => location.reload()} /></main>`;
  else if (user === null) content = html`<${SignIn} done=${enter} />`;
  else if (place.vault) content = html`<${Vault} key=${place.vault} place=${place} user=${user} />`;
  else content = user && html`<main id="main"><${place.devices ? Devices : Vaults} /></main>`;

  return html`<${Tell.Provider} value=${tell}>
    <a class="skip" href="#main" onClick=${skip}>To the content</a>
    <header class="top">
      <a class="home" href="#/">gobi</a>
      ${user && html`<a class="user" href="#/devices" title="Your devices"><${Name} of=${user} /></a><button type="button" class="plain" onClick=${leave}>Sign out</button>`}
    </header>
    ${ended && user && html`<${SignIn} again done=${enter} />`}
    <div class="content" hidden=${ended && user}>${content}</div>
    <${Notice} of=${notice} close=${() => setNotice(null)} />
  <//>`;
}

function skip(event) {
  event.preventDefault();
  document.querySelector("main h1, main")?.focus();
}

function Notice({ of, close }) {
  return html`<div class="foot" role=${of?.problem ? "alert" : "status"}>
    ${of &&
    html`<div class=${`notice ${of.problem ? "problem" : ""}`}>
      <p>${of.text}</p>
      ${of.kept && html`<details open><summary>What you had typed</summary><textarea readonly rows="6" aria-label="What you had typed">${of.kept}</textarea></details>`}
      <button type="button" class="plain" onClick=${close}>Close</button>
    </div>`}
  </div>`;
}

function Vault({ place, user }) {
  const name = place.vault;
  const [info, setInfo] = useState(null);
  const [trouble, setTrouble] = useState(null);
  const [connected, setConnected] = useState(true);
  const listeners = useRef(new Set());
  const listen = useCallback((handler) => {
    listeners.current.add(handler);
    return () => listeners.current.delete(handler);
  }, []);
  const reload = useCallback(async () => {
    try {
      setInfo(await ask("GET", address(name)));
      setTrouble(null);
    } catch (error) {
      setTrouble(error);
    }
  }, [name]);
  useEffect(() => {
    reload();
    let soon = null;
    const live = new Live(name, (message) => {
      if (message.type === "state") setConnected(message.connected);
      else if (!soon) soon = setTimeout(() => ((soon = null), reload()), 1000);
      for (const handler of listeners.current) handler(message);
    });
    return () => (clearTimeout(soon), live.stop());
  }, [name]);
  const context = useMemo(
    () => ({ name, user, info, reload, listen, writes: info ? info.role !== "read" : false }),
    [name, user, info, reload, listen],
  );

  if (trouble && !info)
    return html`<main id="main">
      <h1 tabindex="-1">This vault cannot be shown</h1>
      <${Trouble} error=${trouble} again=${reload} />
      <p><a href="#/">All vaults</a></p>
    </main>`;
  const View = place.view === "conflicts" && place.path ? Settle : (VIEWS[place.view] ?? Files);
  const wide = View === Settle || View === Compare;
  return html`<${Place.Provider} value=${context}>
    <${Tabs} place=${place} info=${info} connected=${connected} />
    <main id="main" class=${wide ? "wide" : ""}>
      <${View} key=${`${place.view}/${place.path}?${JSON.stringify(place.query)}`} path=${place.path} query=${place.query} />
    </main>
  <//>`;
}

function Tabs({ place, info, connected }) {
  const tab = (view, text, views = [view]) =>
    html`<a href=${link(place.vault, view)} aria-current=${views.includes(place.view) ? "page" : undefined}>${text}</a>`;
  const open = info?.conflicts ?? 0;
  return html`<nav class="tabs" aria-label="Vault">
    <strong class="vault"><${Name} of=${place.vault} /></strong>
    ${tab("files", "Files", ["files", "file", "compare"])} ${tab("changes", "Changes", ["changes", "undo"])}
    ${tab("conflicts", html`Conflicts${open > 0 && html` <span class="badge">${open}</span>`}`)} ${tab("about", "About")}
    ${!connected && html`<span class="quiet offline" role="status">Not live just now: trying again…</span>`}
  </nav>`;
}

render(html`<${App} />`, document.getElementById("app"));
