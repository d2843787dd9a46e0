// One folder of a vault.

import { html, useContext } from "./vendor/preact.js";
import { address, ask, SERVER } from "./api.js";
import { base, made, size } from "./format.js";
import { Name, Paged, Place, Title, When, link, useLiveReload, usePages } from "./parts.js";

const PAGE = 200;

export function Files({ path }) {
  const { name, info } = useContext(Place);
  const folder = path && !path.endsWith("/") ? `${path}/` : path;
  const pages = usePages(
    async (after) => {
      const query = { prefix: folder, delimiter: "/", limit: PAGE, after };
      const page = await ask("GET", address(name, "files"), { query });
      const rows = [...page.folders.map((path) => ({ path, folder: true })), ...page.files];
      return { rows, next: page.next };
    },
    [name, folder],
  );
  useLiveReload(pages.changed, (message) => message.changes?.some((change) => change.path.startsWith(folder)));
  const rows = pages.rows && [...pages.rows.filter((row) => row.folder), ...pages.rows.filter((row) => !row.folder)];
  return html`<${Title} text=${folder ? base(folder).replace(/\/$/, "") : name}><${Crumbs} path=${folder} /><//>
    <${Paged} of=${pages}>
      ${rows?.length
        ? html`<ul class="rows" aria-label="Files and folders">
            ${rows.map((row) => (row.folder ? html`<${FolderRow} key=${row.path} vault=${name} path=${row.path} />` : html`<${FileRow} key=${row.path} vault=${name} row=${row} />`))}
          </ul>`
        : html`<${Empty} folder=${folder} info=${info} name=${name} />`}
    <//>`;
}

/** The way to a folder or file; each part leads there. */
export function Crumbs({ path }) {
  const { name } = useContext(Place);
  const parts = path.replace(/\/$/, "").split("/").filter(Boolean);
  const steps = parts.map((part, index) => ({ part, folder: parts.slice(0, index + 1).join("/") + "/" }));
  const last = steps.length - 1;
  return html`<span class="crumbs">
    ${steps.length ? html`<a href=${link(name)}><${Name} of=${name} /></a>` : html`<${Name} of=${name} />`}
    ${steps.map(
      (step, index) => html`<span class="slash">/</span>${index === last
          ? html`<${Name} of=${step.part} />`
          : html`<a href=${link(name, "files", step.folder)}><${Name} of=${step.part} /></a>`}`,
    )}
  </span>`;
}

function FolderRow({ vault, path }) {
  return html`<li class="row">
    <a class="grow" href=${link(vault, "files", path)}><span class="icon" aria-hidden="true">▸</span><${Name} of=${base(path).slice(0, -1)} /><span class="slash">/</span></a>
  </li>`;
}

function FileRow({ vault, row }) {
  return html`<li class="row">
    <a class="grow" href=${link(vault, "file", row.path)}><${Name} of=${base(row.path)} /></a>
    <span class="quiet number">${size(row.size)}</span>
    <span class="quiet when"><${When} stamp=${made(row)} /></span>
  </li>`;
}

function Empty({ folder, info, name }) {
  if (folder) return html`<p>Nothing is here (any more). <a href=${link(name, "changes")}>Look at what changed.</a></p>`;
  return html`<p>This vault is empty. ${info?.conflicts ? "" : "Connect a folder to fill it:"}</p>
    <pre class="command">gobi connect FOLDER ${SERVER} ${name} --user YOU</pre>`;
}
