// The machines that have a password of their own, and taking one back.

import { html, useContext } from "./vendor/preact.js";
import { ask, at } from "./api.js";
import { Act, Loaded, Name, Tell, Title, When, useLoad } from "./parts.js";
import { plain } from "./names.js";

const PLACE = at("/v1/devices");

export function Devices() {
  const tell = useContext(Tell);
  const devices = useLoad(async (signal) => (await ask("GET", PLACE, { signal })).devices, []);
  const revoke = async (name) => {
    if (!confirm(`${plain(name)} will not get in any more, and has to be connected anew. Go on?`)) return;
    await ask("DELETE", `${PLACE}/${encodeURIComponent(name)}`);
    await devices.reload();
    tell(`${plain(name)} is out.`);
  };
  return html`<${Title} text="Your devices" />
    <p>Each of these has a password of its own. Take back one that is lost: the others go on, and what it wrote stays.</p>
    <${Loaded} of=${devices}>
      ${(rows) =>
        rows.length
          ? html`<ul class="rows">
              ${rows.map(
                (row) => html`<li key=${row.name} class="row">
                  <strong class="grow"><${Name} of=${row.name} /></strong>
                  <span class="quiet when">since <${When} stamp=${row.added} /></span>
                  <${Act} does=${() => revoke(row.name)} label=${`Revoke ${plain(row.name)}`}>Revoke<//>
                </li>`,
              )}
            </ul>`
          : html`<p class="quiet">None yet. An invitation makes one: see About in a vault.</p>`}
    <//>
    <p><a href="#/">All vaults</a></p>`;
}
