// Every vault that the user may see.

import { html } from "./vendor/preact.js";
import { ask, at, SERVER } from "./api.js";
import { count, size } from "./format.js";
import { Loaded, Name, Title, link, useLoad } from "./parts.js";

const ROLES = { read: "you may read", write: "you may write", owner: "yours" };

export function Vaults() {
  const vaults = useLoad(async (signal) => (await ask("GET", at("/v1/vaults"), { signal })).vaults, []);
  return html`<${Title} text="Vaults" />
    <${Loaded} of=${vaults}>
      ${(rows) =>
        rows.length
          ? html`<ul class="cards">
              ${rows.map(
                (row) => html`<li key=${row.name}>
                  <a href=${link(row.name)}>
                    <strong><${Name} of=${row.name} /></strong>
                    <span class="quiet">${count(row.files, "file")}, ${size(row.bytes)} · ${ROLES[row.role]}</span>
                  </a>
                </li>`,
              )}
            </ul>`
          : html`<p>No vaults yet. On a machine with a folder to share, run:</p>
              <pre class="command">gobi connect FOLDER ${SERVER} NAME --user YOU --create</pre>`}
    <//>`;
}
