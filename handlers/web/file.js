// One file: what is in it, and every version there was.

import { html, useContext, useState } from "./vendor/preact.js";
import { address, ask, bytes } from "./api.js";
import { base, count, isPicture, made, size } from "./format.js";
import { Crumbs } from "./files.js";
import { Act, Loaded, Paged, Place, Tell, Title, When, Who, link, useLiveReload, useLoad, usePages } from "./parts.js";
import { plain } from "./names.js";
import { decode } from "./text.js";

const PREVIEW = 256 * 1024;
const PAGE = 50;

export function FileView({ path, query }) {
  const { name, writes } = useContext(Place);
  const tell = useContext(Tell);
  const versions = usePages(
    async (before) => {
      const page = await ask("GET", address(name, "history", path), { query: { before, limit: PAGE } });
      return { rows: page.versions, next: page.next };
    },
    [name, path],
  );
  useLiveReload(versions.changed, (message) => message.changes?.some((change) => change.path === path));
  const rows = versions.rows;
  const head = rows?.[0];
  const shown = rows?.find((row) => String(row.stamp) === query.stamp) ?? head;
  const restore = async (version) => {
    await ask("POST", address(name, "restore"), { json: { path, stamp: version.stamp, head: head.stamp } });
    tell("It is back: every machine gets it with its next sync.");
    location.hash = link(name, "file", path);
    await versions.reload();
  };
  return html`<${Title} text=${base(path)}><${Crumbs} path=${path} /><//>
    <${Paged} of=${versions}>
      ${shown &&
      html`<section aria-label="Content">
          ${shown !== head && html`<p class="notice">This is the version of <${When} stamp=${made(shown)} />. <a href=${link(name, "file", path)}>Show the newest</a></p>`}
          ${shown.kind === "put" ? html`<${Preview} key=${shown.hash} vault=${name} version=${shown} />` : html`<p class="notice">This file was deleted.</p>`}
        </section>
        <section>
          <h2>Versions</h2>
          <${History} vault=${name} path=${path} rows=${rows} shown=${shown} writes=${writes} restore=${restore} />
        </section>`}
    <//>`;
}

function History({ vault, path, rows, shown, writes, restore }) {
  const [older, setOlder] = useState(null);
  const [newer, setNewer] = useState(null);
  const puts = rows.filter((row) => row.kind === "put");
  const from = older ?? puts[1]?.stamp;
  const to = newer ?? puts[0]?.stamp;
  return html`${puts.length > 1 &&
    html`<form class="inline" onSubmit=${(event) => (event.preventDefault(), (location.hash = link(vault, "compare", path, { from, to })))}>
      <label>Compare <${Choice} rows=${puts} value=${from} set=${setOlder} /></label>
      <label>with <${Choice} rows=${puts} value=${to} set=${setNewer} /></label>
      <button>Show differences</button>
    </form>`}
    <ol class="rows" aria-label="Versions, newest first">
      ${rows.map(
        (row, index) => html`<li key=${row.stamp} class="row" aria-current=${row === shown ? "true" : undefined}>
          <span class="grow"><${When} stamp=${made(row)} /> <span class="quiet">${verb(row)} on <${Who} of=${row} /></span></span>
          <span class="quiet number">${row.kind === "put" && size(row.size)}</span>
          <span class="acts">
            ${row.kind === "put" && row !== shown && html`<a class="button" href=${link(vault, "file", path, { stamp: row.stamp })}>Look</a>`}
            ${row.kind === "put" && writes && (index > 0 || rows[0].kind === "delete") && (row.hash !== rows[0].hash || row.executable !== rows[0].executable) && html`<${Act} does=${() => restore(row)}>Restore<//>`}
          </span>
        </li>`,
      )}
    </ol>`;
}

function Choice({ rows, value, set }) {
  return html`<select value=${value} onChange=${(event) => set(Number(event.target.value))}>
    ${rows.map((row) => html`<option key=${row.stamp} value=${row.stamp}>${new Date(row.stamp / 1000).toLocaleString()} · ${plain(row.device)}</option>`)}
  </select>`;
}

export function verb(version) {
  if (version.kind === "delete") return "deleted";
  return version.base === null ? "new" : "changed";
}

/** What is in a version, as text or as a picture, and the way to the whole of it. */
export function Preview({ vault, version }) {
  const place = address(vault, "files", version.path);
  const query = `?stamp=${version.stamp}`;
  const body = useLoad(
    async (signal) => {
      if (isPicture(version.path) || version.size === 0) return {};
      const { body, size } = await bytes(place, { query: { stamp: version.stamp }, limit: PREVIEW, signal });
      return { text: decode(body, size > body.length), cut: size > body.length };
    },
    [place, version.stamp],
  );
  return html`<p class="quiet about">
      ${size(version.size)}${version.mtime != null && html`, file of <${When} stamp=${version.mtime} />`} · <a href=${place + query} download=${base(version.path)}>Download</a>
    </p>
    <${Loaded} of=${body}>
      ${({ text, cut }) => {
        if (isPicture(version.path)) return html`<${Picture} src=${`${place}${query}&inline=1`} label=${plain(version.path)} />`;
        if (version.size === 0) return html`<p class="quiet">The file is empty.</p>`;
        if (text == null) return html`<p class="quiet">This is neither text nor a picture that browsers show. Download it to look at it.</p>`;
        return html`<pre class="text" tabindex="0" aria-label="Text">${text}</pre>
          ${cut && html`<p class="quiet">Only the first ${count(PREVIEW / 1024, "kilobyte")} are shown.</p>`}`;
      }}
    <//>`;
}

export function Picture({ src, label }) {
  const [broken, setBroken] = useState(false);
  if (broken) return html`<p class="quiet">This picture cannot be shown. Download it to look at it.</p>`;
  return html`<img class="picture" src=${src} alt=${label} onError=${() => setBroken(true)} />`;
}

