// Taking back everything that a device did since a moment: first shown, then done.

import { html, useContext, useRef, useState } from "./vendor/preact.js";
import { address, ask } from "./api.js";
import { count, date } from "./format.js";
import { Act, Name, Place, Tell, Title, When, link } from "./parts.js";

const SHOWN = 200;
const WHY = {
  others: "others changed it too",
  conflict: "it has an open conflict",
  since: "it was changed after this preview",
  "path-taken": "something else is in its place now",
  purged: "what stood there before is not kept any more",
  "body-missing": "the server has lost what stood there",
};

export function Undo({ query }) {
  const { name, writes } = useContext(Place);
  const tell = useContext(Tell);
  const [wish, setWish] = useState({ device: query.device ?? "", user: query.user ?? "", prefix: query.prefix ?? "", since: Number(query.since) || null });
  const [preview, setPreview] = useState(null);
  const wished = useRef(wish);
  const change = (part) => {
    wished.current = { ...wish, ...part };
    setWish(wished.current);
    setPreview(null);
  };
  const look = async () => {
    const asked = wished.current;
    const request = asRequest(asked);
    if (asked.typed) {
      const moment = await ask("GET", address(name, "stamp"), { query: { time: asked.since } });
      request.since = moment.stamp;
      if (!moment.sure) tell("The server's clock was wrong once: changes of which nobody knows when they were made are left out. Changes has a way to take each back.");
    }
    const found = await ask("POST", address(name, "restore"), { json: { ...request, dry_run: true } });
    if (asked === wished.current) setPreview({ ...found, request }); // or it answers what is not asked any more
  };
  const act = async () => {
    const done = await ask("POST", address(name, "restore"), { json: { ...preview.request, until: preview.until } });
    tell(`${count(done.changes.length, "file")} put back.${done.skipped.length ? ` ${count(done.skipped.length, "file")} left as they are.` : ""} This can be taken back as well.`);
    location.hash = link(name, "changes");
  };
  return html`<${Title} text="Take back" />
    <form class="stack" onSubmit=${(event) => event.preventDefault()}>
      <label>What this device did <input value=${wish.device} onInput=${(event) => change({ device: event.target.value })} placeholder="every device" autocapitalize="none" spellcheck="false" /></label>
      <label>as this user <input value=${wish.user} onInput=${(event) => change({ user: event.target.value })} placeholder="everybody" autocapitalize="none" spellcheck="false" /></label>
      <label>below this folder <input value=${wish.prefix} onInput=${(event) => change({ prefix: event.target.value })} placeholder="everywhere" autocapitalize="none" spellcheck="false" /></label>
      <label>since <input type="datetime-local" step="1" required value=${local(wish.since)} onChange=${(event) => change({ since: stamp(event.target.value), typed: true })} /></label>
      <${Act} kind=${preview ? "" : "main"} disabled=${!writes || !wish.since} does=${look}>Show what would be put back<//>
    </form>
    ${preview &&
    html`<section aria-label="Preview" aria-live="polite">
      <h2>${count(preview.changes.length, "file")} would be put back</h2>
      <${Rows} rows=${preview.changes} say=${(row) => (row.kind === "delete" ? "goes again" : html`as of <${When} stamp=${row.restores} />`)} />
      ${preview.skipped.length > 0 &&
      html`<h2>${count(preview.skipped.length, "file")} would stay as they are</h2>
        <${Rows} rows=${preview.skipped} say=${(row) => WHY[row.reason] ?? row.reason} />`}
      <p class="acts"><${Act} kind="main" disabled=${!preview.changes.length} does=${act}>Put back ${count(preview.changes.length, "file")}<//></p>
      <p class="quiet">Nothing is lost by this: what is there now stays in every file's versions.</p>
    </section>`}`;
}

/** What the form says; a folder's name means what is in it, and not what begins like it. */
function asRequest({ since, device, user, prefix }) {
  const folder = prefix && !prefix.endsWith("/") ? `${prefix}/` : prefix;
  return { since, ...(device && { device }), ...(user && { user }), ...(folder && { prefix: folder }) };
}

function Rows({ rows, say }) {
  return html`<ul class="rows">
      ${rows.slice(0, SHOWN).map((row) => html`<li key=${row.path} class="row"><span class="grow"><${Name} of=${row.path} /></span><span class="quiet">${say(row)}</span></li>`)}
    </ul>
    ${rows.length > SHOWN && html`<p class="quiet">… and ${count(rows.length - SHOWN, "more")}.</p>`}`;
}

function local(micros) {
  if (!micros) return "";
  const then = date(micros);
  return new Date(then.getTime() - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function stamp(text) {
  const then = new Date(text).getTime();
  return Number.isNaN(then) ? null : then * 1000;
}
