// The open conflicts of a vault.

import { html, useContext } from "./vendor/preact.js";
import { address, ask } from "./api.js";
import { count } from "./format.js";
import { Loaded, Name, Place, Title, When, link, useLiveReload, useLoad } from "./parts.js";

export function Conflicts() {
  const { name } = useContext(Place);
  const open = useLoad(async (signal) => (await ask("GET", address(name, "conflicts"), { signal })).conflicts, [name]);
  useLiveReload(open.reload, (message) => message.conflict);
  return html`<${Title} text="Conflicts" />
    <${Loaded} of=${open}>
      ${(rows) =>
        rows.length
          ? html`<p>Two sides changed the same file. Both are kept here until you decide.</p>
              <ul class="cards">
                ${rows.map(
                  (row) => html`<li key=${row.id}>
                    <a href=${link(name, "conflicts", row.id)}>
                      <strong><${Name} of=${row.path} /></strong>
                      <span class="quiet"><${Devices} of=${row} /> · <${When} stamp=${row.opened} /></span>
                    </a>
                  </li>`,
                )}
              </ul>`
          : html`<p>No conflicts. Every file has one newest version that all agree on.</p>`}
    <//>`;
}

function Devices({ of }) {
  const names = [...new Set(of.candidates.map((candidate) => candidate.device))];
  return html`${names.map((device, index) => html`${index > 0 && ", "}<${Name} of=${device} />`)} against
    ${" "}${of.server ? html`<${Name} of=${of.server.device} />` : "the server"}${of.candidates.length > 1 && ` · ${count(of.candidates.length, "edit")} wait`}`;
}
